#include "whence/core/matrix_kernels.h"

#include <cstdlib>
#include <fmt/format.h>

#include "whence/core/error.h"

namespace whence {
namespace {

constexpr const char* users_variable = "OPENBLAS_CORETYPE";

// How much of a processor kernels use: 2 AVX-512, 1 AVX2, 0 less.
int level_of(const std::string& kernels) {
  for (const char* name : {"SkylakeX", "Cooperlake", "SapphireRapids"})
    if (kernels == name) return 2;
  for (const char* name : {"Haswell", "Zen", "Excavator"})
    if (kernels == name) return 1;
  return 0;
}

int level_of(const Processor& processor) { return processor.avx512 ? 2 : processor.avx2 ? 1 : 0; }

// Where a library cannot use kernels, it may be left with any others.
bool uses(MatrixLibrary& library, const std::string& kernels, const std::string& taken) {
  return library.kernels() == kernels || library.use(kernels == taken ? "" : kernels);
}

}  // namespace

Processor this_processor() {
  Processor processor;
#if defined(__x86_64__)
  processor.x86 = true;
  processor.intel = __builtin_cpu_is("intel");
  processor.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  processor.avx512 = processor.avx2 && __builtin_cpu_supports("avx512f") &&
                     __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
                     __builtin_cpu_supports("avx512vl");
#endif
  return processor;
}

// On AMD's processors OpenBLAS takes kernels with AVX2 (Zen) on purpose also where there is AVX-512.
std::vector<std::string> kernels_to_try(const std::string& taken, const Processor& processor) {
  std::vector<std::string> names;
  const int taken_level = level_of(taken), level = level_of(processor);
  if (taken_level == 0 || processor.intel) {
    if (level == 2 && taken_level < 2) names.push_back("SkylakeX");
    if (level >= 1 && taken_level < 1 && !processor.intel) names.push_back("Zen");
    if (level >= 1 && taken_level < 1) names.push_back("Haswell");
  }
  names.push_back(taken);
  if (processor.x86 && taken_level == 2) names.push_back("Haswell");
  if (processor.x86 && taken != "Prescott") names.push_back("Prescott");
  return names;
}

MatrixKernels choose_matrix_kernels(MatrixLibrary& library, const Processor& processor, const char* users,
                                    bool measure) {
  MatrixKernels choice;
  choice.library = library.name();
  choice.taken = choice.used = library.kernels();
  choice.by_user = users != nullptr;
  const auto names = kernels_to_try(choice.taken, processor);
  if (names.front() != choice.taken) choice.better = names.front();
  measure = measure && (choice.by_user || !choice.better.empty());
  if (choice.by_user) {
    const std::string wrong = first_wrong_product(library);
    if (!wrong.empty())
      refuse("{}={}: {}'s kernels {} compute wrong products here ({}); unset it, or name others",
             users_variable, users, choice.library, choice.taken, wrong);
    if (measure) choice.taken_gflops = choice.used_gflops = measured_gflops(library);
    return choice;
  }
  if (measure) choice.taken_gflops = measured_gflops(library);
  for (const std::string& name : names) {
    if (!uses(library, name, choice.taken)) continue;
    const std::string wrong = first_wrong_product(library);
    if (!wrong.empty()) {
      choice.wrong.push_back(fmt::format("{} ({})", name, wrong));
      continue;
    }
    choice.used = name;
    if (level_of(name) > level_of(choice.taken) || !choice.wrong.empty()) choice.better.clear();
    if (measure) choice.used_gflops = measured_gflops(library);
    return choice;
  }
  fail("{} computes wrong products on this processor with all of its kernels: {}; another version is needed",
       choice.library, fmt::join(choice.wrong, ", "));
}

MatrixKernels choose_matrix_kernels(bool measure) {
  const auto library = matrix_library_of_libtorch();
  if (library == nullptr) return {};
  return choose_matrix_kernels(*library, this_processor(), std::getenv(users_variable), measure);
}

std::string in_words(const MatrixKernels& kernels) {
  const auto speed = [](double gflops) {
    return gflops > 0 ? fmt::format(" ({:.0f} GFLOP/s)", gflops) : std::string();
  };
  const std::string taken = kernels.taken + speed(kernels.taken_gflops);
  if (kernels.by_user)
    return fmt::format(
        "matrix products: {} with the kernels {} of {}, left alone{}", kernels.library, taken, users_variable,
        kernels.better.empty() ? "" : "; " + kernels.better + " would suit this processor better");
  std::vector<std::string> said;
  if (!kernels.wrong.empty())
    said.push_back("computes wrong here with " + fmt::format("{}", fmt::join(kernels.wrong, ", ")));
  if (kernels.used != kernels.taken)
    said.push_back(fmt::format("took the kernels {}, and {}{} are used", taken, kernels.used,
                               speed(kernels.used_gflops)));
  else if (!kernels.wrong.empty())
    said.push_back(kernels.used + " are used");
  else if (!kernels.better.empty())
    said.push_back(
        fmt::format("took the kernels {}, and those for this processor ({}) cannot be chosen from here: set "
                    "{}={}, or install a newer one",
                    taken, kernels.better, users_variable, kernels.better));
  if (said.empty()) return "";
  return fmt::format("matrix products: {} {}", kernels.library, fmt::join(said, "; "));
}

std::string matrix_kernels_in_use() {
  const auto library = matrix_library_of_libtorch();
  return library == nullptr ? "MKL" : library->name() + ", " + library->kernels();
}

}  // namespace whence
