// Part of kernels.inc: vectors of the variant's width, and exp, log1p, softplus, sigmoid, tanh on them.
// Comparisons are written so that NaN goes through every one of them.

template <typename T>
struct Number;
template <>
struct Number<double> {
  using Bits = long long;
  typedef double Vector __attribute__((vector_size(WHENCE_VECTOR_BYTES)));
  typedef double Stored __attribute__((vector_size(WHENCE_VECTOR_BYTES), aligned(8), may_alias));
  typedef Bits Mask __attribute__((vector_size(WHENCE_VECTOR_BYTES)));
  static constexpr int mantissa = 52, exponent_bias = 1023, exp_terms = 13, log_terms = 11;
  static constexpr double exp_above = 710, exp_below = -746;  // e^x is infinite, 0 beyond
  static constexpr double least_power = -1020;                // 2^x is a normal number from here on
  static constexpr double shifter = 0x1.8p52;                 // x + shifter: x rounded to an integer
  // ln 2 in two parts; products of the first with an exponent are exact.
  static constexpr double ln2_high = 0x1.62e42fefap-1, ln2_low = 0x1.cf79abc9e3b398p-40;
  static constexpr Bits root_half = 0x3fe6a09e667f3bcdLL, absolute = 0x7fffffffffffffffLL;
};
template <>
struct Number<float> {
  using Bits = int;
  typedef float Vector __attribute__((vector_size(WHENCE_VECTOR_BYTES)));
  typedef float Stored __attribute__((vector_size(WHENCE_VECTOR_BYTES), aligned(4), may_alias));
  typedef Bits Mask __attribute__((vector_size(WHENCE_VECTOR_BYTES)));
  static constexpr int mantissa = 23, exponent_bias = 127, exp_terms = 8, log_terms = 5;
  static constexpr float exp_above = 89, exp_below = -104;
  static constexpr float least_power = -124;
  static constexpr float shifter = 0x1.8p23f;
  static constexpr float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;
  static constexpr Bits root_half = 0x3f3504f3, absolute = 0x7fffffff;
};

template <typename T>
using Vector = typename Number<T>::Vector;
template <typename T>
using Mask = typename Number<T>::Mask;
template <typename T>
constexpr int lanes = WHENCE_VECTOR_BYTES / static_cast<int>(sizeof(T));

template <typename T>
WHENCE_INLINE Vector<T> load(const T* from) {
  return *reinterpret_cast<const typename Number<T>::Stored*>(from);
}
template <typename T>
WHENCE_INLINE void store(T* to, Vector<T> v) {
  *reinterpret_cast<typename Number<T>::Stored*>(to) = v;
}
template <typename T>
WHENCE_INLINE Vector<T> all(T value) {
  return value - Vector<T>{};  // not +: the compiler may not drop adding 0, which changes -0
}
// f(0), f(1), .. f(N - 1), with arguments that are constants to the compiler: registers can only stand for
// the elements of an array that are named by constants.
template <int I>
struct Index {
  constexpr operator int() const { return I; }
};
template <int N, typename Function>
WHENCE_INLINE void repeat(const Function& f) {
  if constexpr (N > 0) {
    repeat<N - 1>(f);
    f(Index<N - 1>{});
  }
}

// A vector V of lane from(0), from(1), .. of (a, b), those of b counted on from a's.
template <typename T, typename V, typename From>
WHENCE_INLINE V shuffled(V a, V b, const From& from) {
#if defined(__clang__)
  // GCC's __builtin_shuffle is not there, and lanes taken one by one become the same instructions.
  V result = a;
  repeat<lanes<T>>([&](auto i) WHENCE_LAMBDA {
    constexpr int lane = i;
    result[lane] = from(lane) < lanes<T> ? a[from(lane) % lanes<T>] : b[from(lane) % lanes<T>];
  });
  return result;
#else
  Mask<T> lane;
  repeat<lanes<T>>([&](auto i) WHENCE_LAMBDA { lane[+i] = from(i); });
  return __builtin_shuffle(a, b, lane);
#endif
}

// Whether a comparison holds in all lanes, by folding the vector onto itself.
template <typename T>
WHENCE_INLINE bool all_true(Mask<T> mask) {
  repeat<4>([&](auto i) WHENCE_LAMBDA {
    constexpr int distance = lanes<T> / (2 << i);
    if constexpr (distance > 0)
      mask &= shuffled<T>(mask, mask, [](int lane) WHENCE_LAMBDA { return lane ^ distance; });
  });
  return mask[0] != 0;
}

template <typename T>
WHENCE_INLINE Vector<T> absolute(Vector<T> x) {
  return (Vector<T>)((Mask<T>)x & Number<T>::absolute);
}

// e^x = 2^n (1 + p) with p = e^r - 1, r = x - n ln 2, |r| <= ln(2)/2. 2^n as two factors, since n goes from
// -1076 (results below the normal range) to 1024.
template <typename T>
struct Exponential {
  Vector<T> p, scale, other_scale;
};

// 1 / k!
template <typename T>
struct ExpSeries {
  T values[Number<T>::exp_terms + 1] = {};
  constexpr ExpSeries() {
    double factorial = 1;
    for (int k = 0; k <= Number<T>::exp_terms; factorial *= ++k) values[k] = T(1 / factorial);
  }
  constexpr T operator[](int k) const { return values[k]; }
};

template <typename T>
WHENCE_INLINE Vector<T> power_of_two(Vector<T> shifted) {
  using N = Number<T>;
  return (Vector<T>)(((Mask<T>)shifted + N::exponent_bias) << N::mantissa);
}

template <typename T>
WHENCE_INLINE Exponential<T> exponential(Vector<T> x) {
  using N = Number<T>;
  x = x > N::exp_above ? all<T>(N::exp_above) : x;
  x = x < N::exp_below ? all<T>(N::exp_below) : x;
  const Vector<T> n = (x * T(1.442695040888963407) + N::shifter) - N::shifter;
  const Vector<T> r = (x - n * N::ln2_high) - n * N::ln2_low;
  // Taylor's series of (e^r - 1 - r) / r^2; its remainder is below a quarter of a unit in the last place.
  constexpr ExpSeries<T> over_factorial;
  Vector<T> series = all<T>(over_factorial[N::exp_terms]);
  repeat<N::exp_terms - 2>([&](auto i)
                               WHENCE_LAMBDA { series = series * r + over_factorial[N::exp_terms - 1 - i]; });
  const Vector<T> half = n * T(0.5) + N::shifter, rest = (n - (half - N::shifter)) + N::shifter;
  return {r + r * r * series, power_of_two<T>(half), power_of_two<T>(rest)};
}

template <typename T>
WHENCE_INLINE Vector<T> exp_of(Vector<T> x) {
  const Exponential<T> e = exponential<T>(x);
  return (e.p + 1) * e.scale * e.other_scale;
}

// 2^x for x <= 0, as (1 + p, 2^n) with n = x rounded; below 2^least_power it stays there.
template <typename T>
struct Power {
  Vector<T> mantissa, scale;
};

template <typename T>
WHENCE_INLINE Power<T> power_of_two_below_one(Vector<T> x) {
  using N = Number<T>;
  // 2^r on [-1/2, 1/2], interpolated at Chebyshev's nodes of degree 10: relative error 3.2e-16.
  constexpr double coefficients[] = {0x1p+0,
                                     0x1.62e42fefa3a19p-1,
                                     0x1.ebfbdff82c598p-3,
                                     0x1.c6b08d703ce49p-5,
                                     0x1.3b2ab6fba1ddap-7,
                                     0x1.5d87fe9d7a584p-10,
                                     0x1.430913096fd9fp-13,
                                     0x1.ffcb54062e698p-17,
                                     0x1.62bfd47773353p-20,
                                     0x1.b675bca4eeebbp-24,
                                     0x1.e6063f7217bc6p-28};
  x = x < N::least_power ? all<T>(N::least_power) : x;
  const Vector<T> shifted = x + N::shifter, r = x - (shifted - N::shifter);
  Vector<T> series = all<T>(T(coefficients[10]));
  repeat<10>([&](auto i) WHENCE_LAMBDA { series = series * r + T(coefficients[9 - i]); });
  return {series, power_of_two<T>(shifted)};
}

// log(1 + y) = n ln 2 + log(1 + f) + c, with 1 + y rounded to u = 2^n (1 + f), sqrt(1/2) <= 1 + f < sqrt(2),
// and c = (1 + y - u) / u what rounding lost. log(1 + f) = 2 atanh(s) with s = f / (2 + f), Taylor's series.
template <typename T>
WHENCE_INLINE Vector<T> log1p_of(Vector<T> y) {
  using N = Number<T>;
  constexpr typename N::Bits one = static_cast<typename N::Bits>(N::exponent_bias) << N::mantissa;
  constexpr typename N::Bits integer = static_cast<typename N::Bits>(N::exponent_bias + N::mantissa)
                                       << N::mantissa;
  constexpr typename N::Bits fraction = (static_cast<typename N::Bits>(1) << N::mantissa) - 1;
  const Vector<T> u = y + 1;
  const Mask<T> shifted = (Mask<T>)u + (one - N::root_half);
  const Vector<T> f = (Vector<T>)((shifted & fraction) + N::root_half) - 1;
  // An integer below 2^mantissa becomes a number by or-ing it into the mantissa of 2^mantissa.
  const Vector<T> n = (Vector<T>)(((shifted >> N::mantissa) & (2 * N::exponent_bias + 1)) | integer) -
                      (T(fraction + 1) + N::exponent_bias);
  const Vector<T> lost = (y > 1 ? 1 - (u - y) : y - (u - 1)) / u;
  const Vector<T> s = f / (f + 2), z = s * s;
  Vector<T> series = all<T>(T(2) / (2 * N::log_terms + 1));
  repeat<N::log_terms - 1>([&](auto i)
                               WHENCE_LAMBDA { series = series * z + T(2) / (2 * (N::log_terms - i) - 1); });
  const Vector<T> result = n * N::ln2_high + (f - (s * (f - z * series) - (n * N::ln2_low + lost)));
  const T infinity = __builtin_inf();
  const Vector<T> above = y == infinity ? y : result;
  const Vector<T> pole = y == -1 ? all<T>(-infinity) : above;
  return y < -1 ? all<T>(__builtin_nan("")) : pole;
}

template <typename T>
WHENCE_INLINE Vector<T> softplus_of(Vector<T> x) {
  return (x > 0 ? x : all<T>(0)) + log1p_of<T>(exp_of<T>(-absolute<T>(x)));
}

template <typename T>
WHENCE_INLINE Vector<T> sigmoid_of(Vector<T> x) {
  const Vector<T> e = exp_of<T>(-absolute<T>(x));
  return (x >= 0 ? all<T>(1) : e) / (e + 1);
}

// tanh|x| = -t / (2 + t) with t = e^(-2|x|) - 1 = 2^n p + (2^n - 1), precise for small x too.
template <typename T>
WHENCE_INLINE Vector<T> tanh_of(Vector<T> x) {
  const Exponential<T> e = exponential<T>(absolute<T>(x) * -2);
  const Vector<T> scale = e.scale * e.other_scale, t = scale * e.p + (scale - 1);
  const Mask<T> sign = (Mask<T>)x & ~Number<T>::absolute;
  return (Vector<T>)((Mask<T>)absolute<T>(t / (t + 2)) | sign);
}
