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

at::Tensor turned(const at::Tensor& rows, const Shape& shape, Orientation orientation) {
  const at::Tensor images = rows.view(with_rows(rows.size(0), shape));
  return (orientation == Orientation::transpose ? images.transpose(-1, -2) : images.permute({0, 3, 1, 2}))
      .contiguous()
      .view({rows.size(0), rows.size(1)});
}

Shape turned(Shape shape, Orientation orientation) {
  if (orientation == Orientation::transpose) {
    if (shape.size() < 2)
      refuse("--orient transpose: instances of the shape [{}] have no rows and columns",
             fmt::join(shape, ", "));
    std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
    return shape;
  }
  if (shape.size() != 3)
    refuse("--orient channels-first: is for images [h, w, c], and these have the shape [{}]",
           fmt::join(shape, ", "));
  return {shape[2], shape[0], shape[1]};
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

at::Tensor resized(const at::Tensor& rows, const Shape& shape, const RowForm& form) {
  const std::int64_t height = shape[shape.size() - 2], width = shape.back(), side = form.image_size;
  if (height == side && width == side) return rows;
  const std::int64_t count = rows.size(0), planes = rows.size(1) / (height * width);
  const at::Tensor images = rows.view({count * planes, height, width});
  return (form.round_resized ? resized_in_bytes(images, side, form.pixels)
                             : resize_bilinear(images, side, side))
      .view({count, planes * side * side});
}

Shape resized(Shape shape, std::int64_t side) {
  if (shape.size() < 2)
    refuse("--image-size: instances of the shape [{}] are no images", fmt::join(shape, ", "));
  shape[shape.size() - 2] = shape[shape.size() - 1] = side;
  return shape;
}

}  // namespace

RowForm form_of(const DataOptions& options) {
  return {options.dtype, options.pixels, options.orientation, options.image_size, options.round_resized};
}

Shape formed_shape(Shape shape, const RowForm& form) {
  if (form.orientation != Orientation::as_is) shape = turned(std::move(shape), form.orientation);
  return form.image_size == 0 ? shape : resized(std::move(shape), form.image_size);
}

at::Tensor formed(const at::Tensor& given, Shape shape, const RowForm& form) {
  at::Tensor rows = given;
  if (form.orientation != Orientation::as_is) {
    rows = turned(rows, shape, form.orientation);
    shape = turned(std::move(shape), form.orientation);
  }
  return form.image_size == 0 ? rows : resized(rows, shape, form);
}

void shape_images(DataSplit& data, const DataOptions& options) {
  const RowForm form = form_of(options);
  if (form.orientation == Orientation::as_is && form.image_size == 0) return;
  for (Dataset* set : {&data.train, &data.held_out, &data.test}) {
    if (!set->instances.held()) continue;  // undefined, or formed as they are read
    const Shape shape = formed_shape(set->shape, form);
    set->instances = formed(set->instances.all(), set->shape, form);
    set->shape = shape;
  }
}

}  // namespace whence
