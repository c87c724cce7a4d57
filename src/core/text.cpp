#include "whence/core/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "whence/core/utf8.h"

namespace whence {
namespace {

constexpr std::string_view utf8_mark = "\xEF\xBB\xBF";

// What an eye does not see, or what would change the line around it: C1 controls, the no-break space and the
// soft hyphen, zero-width and direction marks, line separators, the byte-order mark.
bool invisible(std::string_view character) {
  if (character.size() == 2)
    return character[0] == '\xC2' &&
           (static_cast<unsigned char>(character[1]) <= 0xA0 || character[1] == '\xAD');
  if (character.size() != 3) return false;
  const auto last = static_cast<unsigned char>(character[2]);
  if (character.substr(0, 2) == "\xE2\x80")
    return (last >= 0x8B && last <= 0x8F) || (last >= 0xA8 && last <= 0xAE);
  if (character.substr(0, 2) == "\xE2\x81") return last >= 0xA0 && last <= 0xAF;
  return character == utf8_mark;
}

std::string escaped(std::string_view bytes) {
  if (bytes == "\n") return "\\n";
  if (bytes == "\r") return "\\r";
  if (bytes == "\t") return "\\t";
  std::string text;
  for (const char byte : bytes) text += fmt::format("\\x{:02X}", static_cast<unsigned char>(byte));
  return text;
}

std::string plain(std::string_view text) {
  std::string result;
  for (const char c : text)
    if (c != '-' && c != '_' && c != ' ')
      result += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return result;
}

// Insertions, deletions, replacements and swaps of neighbours that make one of the other.
std::size_t slips(const std::string& a, const std::string& b) {
  std::vector<std::size_t> before, last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before = std::exchange(last, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

struct Synonyms {
  std::string_view usual;              // words that others use, without - and _, blank between
  std::vector<std::string_view> ours;  // the names here, most likely first
};

// Words of other programs and papers for what is meant here.
const std::vector<Synonyms>& synonyms() {
  static const std::vector<Synonyms> table{
      {"optimizer optim", {"optimiser"}},
      {"lr learningrate stepsize eta", {"rate", "rate-generator", "rate-discriminator", "rate-classifier"}},
      {"lrg glr generatorlr lrgenerator", {"rate-generator"}},
      {"lrd dlr discriminatorlr lrdiscriminator", {"rate-discriminator"}},
      {"lrdecay scheduler schedule", {"rate-decay"}},
      {"batchsize bs minibatch b", {"batch"}},
      {"n num ninstances numinstances nsamples numsamples ntrain numtrain size samples points",
       {"instances"}},
      {"numepochs nepochs maxepochs epoch", {"epochs", "epochs-back"}},
      {"k back horizon", {"epochs-back"}},
      {"iterations iters maxsteps numsteps nsteps", {"steps"}},
      {"output outdir outputdir o folder dir directory rundir runfolder logdir", {"out", "run"}},
      {"randomseed randomstate rng", {"seed"}},
      {"dataset datadir input x", {"data"}},
      {"model network architecture arch", {"game"}},
      {"weightdecay wd regularisation regularization gamma", {"l2", "weight-decay"}},
      {"gradclip clipgrad clipgradnorm maxgradnorm maxnorm gradientclipping", {"clip-norm"}},
      {"ema emadecay swa averagedecay", {"average"}},
      {"ncritic ndisc dsteps criticsteps discsteps", {"discriminator-steps"}},
      {"warmupsteps numwarmupsteps", {"warmup"}},
      {"eps", {"epsilon"}},
      {"alpha rho smoothing", {"beta2"}},
      {"betas", {"beta1", "beta2"}},
      {"latentdim latentsize zdim nz dz", {"latent"}},
      {"precision type", {"dtype"}},
      {"double fp64 f64 float64", {"float64"}},
      {"float single fp32 f32 float32", {"float32"}},
      {"gpu cuda", {"device", "cuda"}},
      {"workers nthreads numthreads jobs", {"threads"}},
      {"validation nval numval heldout valid", {"held-out"}},
      {"ntest numtest", {"test"}},
      {"exclude remove leaveout", {"without", "remove"}},
      {"estimators method", {"estimator"}},
      {"bandwidth h", {"sigma"}},
      {"force replace", {"overwrite"}},
      {"silent q", {"quiet"}},
      {"checkpoint numcheckpoints savesteps saveevery", {"checkpoints", "record"}},
      {"gan wgan vanillagan", {"fcgan", "dcgan"}},
      {"vae betavae autoencoder", {"mlp-vae", "conv-vae"}},
      {"cnn classify", {"classifier"}},
      {"loglikelihood ll averageloglikelihood", {"all"}},
      {"inceptionscore inception", {"is"}},
      {"frechet fidscore", {"fid"}},
      {"discriminatorloss dloss", {"disc-loss"}},
      {"generatorloss gloss", {"gen-loss"}},
      {"nesterov nag", {"momentum"}},
      {"amsgrad nadam", {"adam", "adamw"}},
      {"fit run learn", {"train"}},
      {"retrain leaveoneout loo", {"counterfactual"}},
      {"estimate traceback trace influences", {"influence"}},
      {"compare evaluate eval", {"validate"}},
      {"check fsck", {"verify"}},
      {"show describe ls inspect", {"info"}},
      {"mnist fashionmnist", {"mnist:DIR"}},
      {"cifar cifar10", {"cifar10:FILE"}},
      {"normal gaussian 2dnormal", {"normal2d"}}};
  return table;
}

bool has_word(std::string_view words, const std::string& word) {
  const std::string all = fmt::format(" {} ", words), wanted = " " + word + " ";
  return !word.empty() && all.find(wanted) != std::string::npos;
}

std::vector<std::string> meant_by(const std::string& word, const std::vector<std::string>& known) {
  std::vector<std::string> found;
  for (const std::string& name : known)
    if (plain(name) == word) return {name};
  for (const Synonyms& entry : synonyms())
    if (has_word(entry.usual, word))
      for (const std::string_view ours : entry.ours)
        if (std::find(known.begin(), known.end(), ours) != known.end()) found.emplace_back(ours);
  if (!found.empty()) return found;
  std::size_t least = word.size() < 3 ? 1 : std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& name : known) {
    const std::size_t distance = slips(word, plain(name));
    // A word that shares no letter with the name is no slip of it.
    if (distance >= least || distance >= std::max(word.size(), name.size())) {
      if (distance == least && !found.empty()) found.push_back(name);
      continue;
    }
    least = distance;
    found = {name};
  }
  return found.size() > 3 ? std::vector<std::string>{} : found;
}

}  // namespace

std::string visible(std::string_view text, std::size_t most) {
  std::string result;
  std::size_t shown = 0;
  while (!text.empty()) {
    if (shown++ == most) return result + "...";
    const std::size_t size = utf8_character(text).bytes;
    const std::string_view character = text.substr(0, std::max<std::size_t>(size, 1));
    const bool control = size == 1 && (static_cast<unsigned char>(text[0]) < 0x20 || text[0] == '\x7F');
    result += size == 0 || control || invisible(character) ? escaped(character) : std::string(character);
    text.remove_prefix(character.size());
  }
  return result;
}

std::string_view without_mark(std::string_view text) {
  return text.substr(0, utf8_mark.size()) == utf8_mark ? text.substr(utf8_mark.size()) : text;
}

std::string not_text(std::string_view bytes) {
  const std::string_view front = bytes.substr(0, 2);
  if (front == "\xFF\xFE" || front == "\xFE\xFF") return "is UTF-16 text; save it as UTF-8";
  const std::size_t zero = bytes.find('\0');
  if (zero == std::string_view::npos) return "";
  const auto line = std::count(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(zero), '\n') + 1;
  return fmt::format("has a byte of value 0 in line {}, so it is no text in UTF-8", line);
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

std::optional<std::int64_t> whole_number(std::string_view text, bool* out_of_range) {
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || end != text.data() + text.size()) return std::nullopt;
  if (code == std::errc()) return value;
  if (code == std::errc::result_out_of_range && out_of_range != nullptr) *out_of_range = true;
  return std::nullopt;
}

std::optional<double> real_number(std::string_view text, bool* out_of_range) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || end != text.data() + text.size()) return std::nullopt;
  if (code == std::errc()) return value;
  if (code != std::errc::result_out_of_range) return std::nullopt;
  if (out_of_range != nullptr) *out_of_range = true;
  return std::numeric_limits<double>::quiet_NaN();
}

std::string did_you_mean(std::string_view text, const std::vector<std::string>& known,
                         const std::string& front) {
  const std::vector<std::string> meant = meant_by(plain(text), known);
  if (meant.empty()) return "";
  std::string list = front + meant.front();
  for (std::size_t i = 1; i < meant.size(); ++i)
    list += (i + 1 == meant.size() ? " or " : ", ") + front + meant[i];
  return "; did you mean " + list + "?";
}

}  // namespace whence
