#include "device_double.h"

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>
#if __has_include(<ATen/detail/PrivateUse1HooksInterface.h>)
#include <ATen/detail/PrivateUse1HooksInterface.h>
#define WHENCE_TORCH_HAS_HOOKS
#endif

#include "whence/core/error.h"

#include "queue.h"

namespace whence::device_double {
namespace {

constexpr auto device_type = c10::DeviceType::PrivateUse1;
constexpr int most_devices = 8;

bool on_device(const at::Tensor& tensor) { return tensor.defined() && tensor.device().type() == device_type; }

struct Guard final : c10::impl::DeviceGuardImplInterface {
  static thread_local c10::DeviceIndex current;
  c10::DeviceType type() const override { return device_type; }
  c10::Device exchangeDevice(c10::Device device) const override {
    return {device_type, std::exchange(current, device.index())};
  }
  c10::Device getDevice() const override { return {device_type, current}; }
  void setDevice(c10::Device device) const override { current = device.index(); }
  void uncheckedSetDevice(c10::Device device) const noexcept override { current = device.index(); }
  c10::Stream getStream(c10::Device device) const noexcept override {
    return c10::Stream(c10::Stream::DEFAULT, device);
  }
  c10::Stream exchangeStream(c10::Stream stream) const noexcept override { return stream; }
  c10::DeviceIndex deviceCount() const noexcept override { return most_devices; }
  // Whatever autograd orders by streams and events is in order.
  void record(void**, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void*, const c10::DeviceIndex) const noexcept override {}
};
thread_local c10::DeviceIndex Guard::current = 0;
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

#ifdef WHENCE_TORCH_HAS_HOOKS
// Newer LibTorch takes CUDA for the accelerator, also where there is none, unless another one says that it is
// there. Which of these it asks for depends on its version, so none is marked as an override.
struct Hooks final : at::PrivateUse1HooksInterface {
  Hooks() {
    c10::register_privateuse1_backend("double");
    at::RegisterPrivateUse1HooksInterface(this);
  }
  bool isBuilt() const { return true; }
  bool isAvailable() const { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const { return true; }
} hooks;
#endif

// The device's memory as the CPU sees it. Tensors without elements get memory of their own, to be resized.
at::Tensor as_host(const at::Tensor& tensor) {
  const auto options = at::TensorOptions().dtype(tensor.dtype());
  if (tensor.numel() == 0) return at::empty(tensor.sizes(), options);
  return at::from_blob(
      tensor.data_ptr(), tensor.sizes(), tensor.strides(), [tensor](void*) {}, options);
}

// A tensor on the device with the memory of one on the CPU.
at::Tensor as_device(const at::Tensor& host) {
  const c10::Device device(device_type, Guard::current);
  const c10::Storage of_host = host.storage();
  auto* keep = new c10::Storage(of_host);
  c10::Storage storage(c10::Storage::use_byte_size_t(), of_host.nbytes(),
                       c10::DataPtr(
                           const_cast<void*>(of_host.data()), keep,
                           [](void* kept) { delete static_cast<c10::Storage*>(kept); }, device),
                       nullptr, false);
  at::Tensor tensor = at::detail::make_tensor<c10::TensorImpl>(
      std::move(storage), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), host.dtype());
  tensor.unsafeGetTensorImpl()->set_storage_offset(host.storage_offset());
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(host.sizes(), host.strides());
  return tensor;
}

// What an operation's tensor arguments became, to hand results back as what they were.
class Translation {
 public:
  explicit Translation(std::string operation) : operation_(std::move(operation)) {}

  at::Tensor to_host(const at::Tensor& tensor) {
    if (!tensor.defined()) return tensor;
    if (!on_device(tensor)) {
      // As on a GPU, plain numbers may come from the host.
      if (tensor.dim() > 0)
        fail("{}: Expected all tensors to be on the same device, but found the double's and cpu", operation_);
      return tensor;
    }
    const at::Tensor host = as_host(tensor);
    originals_.emplace(host.unsafeGetTensorImpl(), std::make_pair(host, tensor));
    return host;
  }

  at::Tensor to_device(const at::Tensor& host) {
    if (!host.defined()) return host;
    const auto found = originals_.find(host.unsafeGetTensorImpl());
    if (found == originals_.end()) return as_device(host);
    const at::Tensor& original = found->second.second;
    if (original.sizes() != host.sizes()) {  // resized as the output of an operation
      const at::Tensor fresh = as_device(host);
      original.unsafeGetTensorImpl()->set_storage_keep_dtype(fresh.storage());
      original.unsafeGetTensorImpl()->set_sizes_and_strides(fresh.sizes(), fresh.strides());
    }
    return original;
  }

 private:
  std::string operation_;
  std::map<c10::TensorImpl*, std::pair<at::Tensor, at::Tensor>> originals_;
};

c10::IValue each_tensor(const c10::IValue& value,
                        const std::function<at::Tensor(const at::Tensor&)>& change) {
  if (value.isTensor()) return change(value.toTensor());
  if (value.isTensorList()) {
    c10::List<at::Tensor> list;
    for (const at::Tensor& tensor : value.toTensorVector()) list.push_back(change(tensor));
    return list;
  }
  if (value.isList() && value.toListRef().size() > 0 &&
      (value.toListRef()[0].isTensor() || value.toListRef()[0].isNone()) &&
      value.type()->str().find("Tensor") != std::string::npos) {
    c10::List<c10::optional<at::Tensor>> list;
    for (const c10::IValue& element : value.toListRef())
      list.push_back(element.isNone() ? c10::optional<at::Tensor>() : change(element.toTensor()));
    return list;
  }
  return value;
}

// Operations whose result the host has to know before it can go on.
bool host_needs_result(const std::string& name) {
  static const std::set<std::string> names{"aten::_local_scalar_dense", "aten::equal",
                                           "aten::is_nonzero",          "aten::nonzero",
                                           "aten::masked_select",       "aten::_unique2"};
  return names.count(name) > 0;
}

void compute_on_host(const c10::OperatorHandle& operation, torch::jit::Stack* stack) {
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  const std::string& name = operation.schema().name();
  queue().count_operation();
  if (host_needs_result(name)) queue().wait_for_all();
  Translation translation(name);
  const std::size_t arguments = operation.schema().arguments().size();
  for (std::size_t i = stack->size() - arguments; i < stack->size(); ++i)
    (*stack)[i] =
        each_tensor((*stack)[i], [&](const at::Tensor& tensor) { return translation.to_host(tensor); });
  operation.callBoxed(stack);
  const std::size_t results = operation.schema().returns().size();
  for (std::size_t i = stack->size() - results; i < stack->size(); ++i)
    (*stack)[i] =
        each_tensor((*stack)[i], [&](const at::Tensor& host) { return translation.to_device(host); });
}

at::Tensor empty(at::IntArrayRef sizes, c10::optional<at::ScalarType> dtype, c10::optional<at::Layout>,
                 c10::optional<at::Device>, c10::optional<bool>, c10::optional<at::MemoryFormat>) {
  return as_device(at::empty(sizes, at::TensorOptions().dtype(dtype)));
}

at::Tensor empty_strided(at::IntArrayRef sizes, at::IntArrayRef strides, c10::optional<at::ScalarType> dtype,
                         c10::optional<at::Layout>, c10::optional<at::Device>, c10::optional<bool>) {
  return as_device(at::empty_strided(sizes, strides, at::TensorOptions().dtype(dtype)));
}

at::Tensor as_strided(const at::Tensor& self, at::IntArrayRef sizes, at::IntArrayRef strides,
                      c10::optional<std::int64_t> offset) {
  return at::native::as_strided_tensorimpl(self, sizes, strides, offset);
}

at::Tensor& copy(at::Tensor& self, const at::Tensor& from, bool non_blocking) {
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  queue().count_operation();
  if (on_device(self) && on_device(from)) {
    as_host(self).copy_(as_host(from));
  } else if (on_device(self)) {
    if (!non_blocking) queue().wait_for_all();
    as_host(self).copy_(from);
    if (non_blocking) queue().leave_alone(from);
  } else if (non_blocking && queue().is_page_locked(self)) {
    queue().deliver_later(self, as_host(from));
  } else {
    queue().wait_for_all();
    self.copy_(as_host(from));
  }
  return self;
}

// LibTorch leaves convolutions to devices of its own kinds.
at::Tensor convolution(const at::Tensor& x, const at::Tensor& weight, const c10::optional<at::Tensor>& bias,
                       at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation,
                       bool transposed, at::IntArrayRef output_padding, std::int64_t groups) {
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  queue().count_operation();
  Translation translation("aten::convolution");
  c10::optional<at::Tensor> host_bias;
  if (bias.has_value()) host_bias = translation.to_host(*bias);
  return as_device(at::convolution(translation.to_host(x), translation.to_host(weight), host_bias, stride,
                                   padding, dilation, transposed, output_padding, groups));
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> convolution_backward(
    const at::Tensor& upstream, const at::Tensor& x, const at::Tensor& weight, at::IntArrayRef stride,
    at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed, at::IntArrayRef output_padding,
    std::int64_t groups, std::array<bool, 3> wanted) {
  const at::AutoDispatchBelowADInplaceOrView below_autograd;
  queue().count_operation();
  Translation translation("aten::convolution_backward");
  const auto by = at::convolution_backward(
      translation.to_host(upstream), translation.to_host(x), translation.to_host(weight),
      at::IntArrayRef(transposed ? weight.size(1) * groups : weight.size(0)), stride, padding, dilation,
      transposed, output_padding, groups, wanted);
  const auto back = [&](const at::Tensor& host) { return translation.to_device(host); };
  return {back(std::get<0>(by)), back(std::get<1>(by)), back(std::get<2>(by))};
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&compute_on_host>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", empty);
  library.impl("empty_strided", empty_strided);
  library.impl("as_strided", as_strided);
  library.impl("view", at::native::view);
  library.impl("_reshape_alias", at::native::_reshape_alias);
  library.impl("copy_", copy);
  library.impl("convolution_overrideable", convolution);
  library.impl("convolution_backward_overrideable", convolution_backward);
}

}  // namespace

std::int64_t waits() { return queue().waits(); }
std::int64_t operations() { return queue().operations(); }

}  // namespace whence::device_double
