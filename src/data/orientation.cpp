#include "orientation.h"

#include <utility>

#include "whence/core/error.h"
#include "whence/data/images.h"

namespace whence {
namespace {

using Shape = std::vector<std::int64_t>;

Shape with_rows(std::int64_t rows, const Shape& shape) {
  Shape all{rows};
  all.insert(all.end(), shape.begin(), shape.end());
  return all;
}

void orient(Dataset& set, Orientation orientation) {
  Shape& shape = set.shape;
  at::Tensor images = set.instances.view(with_rows(set.size(), shape));
  if (orientation == Orientation::transpose) {
    if (shape.size() < 2)
      refuse("--orient transpose: instances of the shape [{}] have no rows and columns",
             fmt::join(shape, ", "));
    images = images.transpose(-1, -2);
    std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
  } else {
    if (shape.size() != 3)
      refuse("--orient channels-first: is for images [h, w, c], and these have the shape [{}]",
             fmt::join(shape, ", "));
    images = images.permute({0, 3, 1, 2});
    shape = {shape[2], shape[0], shape[1]};
  }
  set.instances = images.contiguous().view({set.size(), set.width()});
}

// The nearest whole byte, of two equally near the upper one. Where an image grows twofold a quarter of all
// pixels lie in the middle of two, so that the errors of scaling must not decide.
at::Tensor rounded_to_bytes(const at::Tensor& pixels, PixelRange range) {
  const double divisor = range == PixelRange::zero_to_one ? 255.0 : 127.5;
  const double offset = range == PixelRange::zero_to_one ? 0.0 : 1.0, errors = 1e-4;
  const at::Tensor bytes = ((pixels.to(at::kDouble) + offset) * divisor + 0.5 + errors).floor();
  return bytes.div(divisor).sub(offset).to(pixels.scalar_type());
}

// Pillow's way, which pipelines that keep pictures as bytes go: along rows first, rounded, then along
// columns, rounded.
at::Tensor resized_in_bytes(const at::Tensor& planes, std::int64_t side, PixelRange range) {
  const at::Tensor wide = rounded_to_bytes(resize_bilinear(planes, planes.size(1), side), range);
  return rounded_to_bytes(resize_bilinear(wide, side, side), range);
}

void resize(Dataset& set, std::int64_t side, bool in_bytes, PixelRange range) {
  Shape& shape = set.shape;
  if (shape.size() < 2)
    refuse("--image-size: instances of the shape [{}] are no images", fmt::join(shape, ", "));
  const std::int64_t height = shape[shape.size() - 2], width = shape.back();
  if (height == side && width == side) return;
  const std::int64_t rows = set.size(), planes = set.width() / (height * width);
  const at::Tensor images = set.instances.view({rows * planes, height, width});
  set.instances = (in_bytes ? resized_in_bytes(images, side, range) : resize_bilinear(images, side, side))
                      .view({rows, planes * side * side});
  shape[shape.size() - 2] = shape[shape.size() - 1] = side;
}

}  // namespace

void shape_images(DataSplit& data, const DataOptions& options) {
  for (Dataset* set : {&data.train, &data.held_out, &data.test}) {
    if (!set->instances.defined()) continue;
    if (options.orientation != Orientation::as_is) orient(*set, options.orientation);
    if (options.image_size != 0) resize(*set, options.image_size, options.round_resized, options.pixels);
  }
}

}  // namespace whence
