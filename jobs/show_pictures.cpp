// Ranked instances as a PNG (ISO/IEC 15948): written here, since a cluster's nodes may have no Python.

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <zlib.h>

#include "whence/core/error.h"
#include "whence/io/artifact.h"
#include "whence/io/checksum.h"

#include "show_words.h"

namespace whence {
namespace {

constexpr std::int64_t gap = 4, glyph_width = 4, glyph_height = 5, caption = 2 * glyph_height + 4;

// Digits and minus, 3 x 5, a row of three bits from the top.
constexpr std::array<std::array<unsigned, 5>, 11> glyphs{{{7, 5, 5, 5, 7},
                                                          {2, 6, 2, 2, 7},
                                                          {7, 1, 7, 4, 7},
                                                          {7, 1, 7, 1, 7},
                                                          {5, 5, 7, 1, 1},
                                                          {7, 4, 7, 1, 7},
                                                          {7, 4, 7, 5, 7},
                                                          {7, 1, 1, 2, 2},
                                                          {7, 5, 7, 5, 7},
                                                          {7, 5, 7, 1, 7},
                                                          {0, 0, 7, 0, 0}}};

struct Canvas {
  std::int64_t height, width;
  std::vector<unsigned char> rgb;
  Canvas(std::int64_t rows, std::int64_t columns)
      : height(rows), width(columns), rgb(3 * rows * columns, 255) {}
  void set(std::int64_t y, std::int64_t x, std::int64_t channel, unsigned char value) {
    rgb[3 * (y * width + x) + channel] = value;
  }
  void write(std::int64_t y, std::int64_t x, const std::string& text, std::int64_t room) {
    // Twice as large where there is room for it.
    const std::int64_t scale = 2 * glyph_width * static_cast<std::int64_t>(text.size()) <= room ? 2 : 1;
    for (std::size_t i = 0; i < text.size(); ++i)
      for (std::int64_t dy = 0; dy < scale * glyph_height; ++dy)
        for (std::int64_t dx = 0; dx < scale * 3; ++dx) {
          const auto& glyph = glyphs[text[i] == '-' ? 10 : static_cast<std::size_t>(text[i] - '0')];
          const std::int64_t column = x + scale * glyph_width * static_cast<std::int64_t>(i) + dx;
          if (((glyph[dy / scale] >> (2 - dx / scale)) & 1U) == 0 || column >= width) continue;
          for (std::int64_t channel = 0; channel < 3; ++channel) set(y + dy, column, channel, 0);
        }
  }
};

std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>((value >> shift) & 255U);
  return bytes;
}

std::string chunk(const std::string& kind, const std::string& data) {
  const std::string body = kind + data;
  return big_endian(static_cast<std::uint32_t>(data.size())) + body +
         big_endian(crc32_of(body.data(), body.size()));
}

std::string png_of(const Canvas& canvas) {
  std::string rows;
  for (std::int64_t y = 0; y < canvas.height; ++y)
    rows += '\0' + std::string(canvas.rgb.begin() + 3 * y * canvas.width,
                               canvas.rgb.begin() + 3 * (y + 1) * canvas.width);
  uLongf size = compressBound(rows.size());
  std::string packed(size, '\0');
  if (compress(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(rows.data()),
               rows.size()) != Z_OK)
    fail("--pictures: zlib cannot compress the picture");
  packed.resize(size);
  const std::string header = big_endian(static_cast<std::uint32_t>(canvas.width)) +
                             big_endian(static_cast<std::uint32_t>(canvas.height)) +
                             std::string("\x08\x02\0\0\0", 5);
  return std::string("\x89PNG\r\n\x1a\n") + chunk("IHDR", header) + chunk("IDAT", packed) + chunk("IEND", "");
}

struct ImageShape {
  std::int64_t channels, height, width, scale;
};

ImageShape image_shape(const RankedRun& run) {
  std::vector<std::int64_t> shape = run.shape;
  if (shape.size() == 2) shape.insert(shape.begin(), 1);
  if (!run.instances.defined() || shape.size() != 3 || (shape[0] != 1 && shape[0] != 3))
    fail("--pictures: the instances of {} are not images{}", run.folder,
         run.instances.defined() ? "" : " that are at hand");
  return {shape[0], shape[1], shape[2], std::max<std::int64_t>(1, (56 + shape[2] - 1) / shape[2])};
}

void draw(Canvas& canvas, const at::Tensor& image, const ImageShape& shape, double low, double high,
          std::int64_t y0, std::int64_t x0) {
  const at::Tensor pixels = image.to(at::kDouble).view({shape.channels, shape.height, shape.width});
  const auto values = pixels.accessor<double, 3>();
  for (std::int64_t y = 0; y < shape.height * shape.scale; ++y)
    for (std::int64_t x = 0; x < shape.width * shape.scale; ++x)
      for (std::int64_t c = 0; c < 3; ++c) {
        const double value = values[std::min(c, shape.channels - 1)][y / shape.scale][x / shape.scale];
        canvas.set(y0 + y, x0 + x, c,
                   static_cast<unsigned char>(std::lround(255 * (value - low) / (high - low))));
      }
}

}  // namespace

void write_pictures(const std::string& path, const RankedRun& run, const std::vector<Ranking>& all,
                    std::int64_t top, bool merged) {
  const ImageShape shape = image_shape(run);
  std::vector<Ranking> rankings;  // densities may be of other data
  for (const Ranking& one : all)
    if (one.ids == run.ids) rankings.push_back(one);
  const std::int64_t cell_y = shape.height * shape.scale + caption + gap,
                     cell_x = shape.width * shape.scale + gap;
  const std::int64_t columns = std::min({top, run.instances.size(), std::int64_t{20}});
  const auto [low, most] = run.instances.range();
  const double high = std::max(most, std::nextafter(low, low + 1));
  Canvas canvas(cell_y * 2 * static_cast<std::int64_t>(rankings.size()) + gap, cell_x * columns + gap);
  for (std::size_t r = 0; r < rankings.size(); ++r) {
    const auto rows = rows_of(rankings[r], columns, merged);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto line = static_cast<std::int64_t>(2 * r + i / (rows.size() / 2));
      const auto column = static_cast<std::int64_t>(i % (rows.size() / 2));
      const std::int64_t y = gap + line * cell_y, x = gap + column * cell_x;
      canvas.write(y, x, std::to_string(rankings[r].ids[rows[i].position]), shape.width * shape.scale);
      draw(canvas, run.instances.rows(rows[i].position, 1)[0], shape, low, high, y + caption, x);
    }
  }
  write_text(path, png_of(canvas));
}

}  // namespace whence
