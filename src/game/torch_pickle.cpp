#include "torch_pickle.h"

#include <caffe2/serialize/inline_container.h>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <vector>

#include <ATen/ops/empty.h>

namespace whence {
namespace {

struct Object;
using Value = std::shared_ptr<Object>;

// `items` are of a list or tuple in order, of a dictionary key and value in turns.
struct Object {
  enum class Kind { other, number, text, sequence, dictionary, name, storage, tensor } kind = Kind::other;
  std::int64_t number = 0;
  std::string text;
  std::vector<Value> items;
  at::ScalarType dtype = at::kFloat;
  at::Tensor tensor;
};
using Kind = Object::Kind;

[[noreturn]] void give_up(const std::string& why) { throw std::runtime_error(why); }

Value make(Kind kind, std::string text = "", std::int64_t number = 0) {
  auto made = std::make_shared<Object>();
  made->kind = kind;
  made->text = std::move(text);
  made->number = number;
  return made;
}

std::optional<at::ScalarType> dtype_of(const std::string& storage) {
  static const std::map<std::string, at::ScalarType> known{
      {"torch.FloatStorage", at::kFloat}, {"torch.DoubleStorage", at::kDouble},
      {"torch.HalfStorage", at::kHalf},   {"torch.BFloat16Storage", at::kBFloat16},
      {"torch.LongStorage", at::kLong},   {"torch.IntStorage", at::kInt},
      {"torch.ShortStorage", at::kShort}, {"torch.CharStorage", at::kChar},
      {"torch.ByteStorage", at::kByte},   {"torch.BoolStorage", at::kBool}};
  const auto found = known.find(storage);
  return found == known.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::int64_t> numbers_in(const Value& tuple) {
  std::vector<std::int64_t> numbers;
  for (const Value& item : tuple->items) {
    if (item->kind != Kind::number || item->number < 0 || item->number > (std::int64_t{1} << 40))
      give_up("a tensor's size is no number");
    numbers.push_back(item->number);
  }
  return numbers;
}

// The machine of Python's pickle (Lib/pickletools.py), of the instructions that torch.save writes.
class Machine {
 public:
  /// Of the record NAME.pkl, whose tensors' numbers are the records NAME/KEY.
  /// `strict`: a tensor of an unknown type is a fault, not another object.
  Machine(const std::string& bytes, std::string name, bool strict)
      : stream_(bytes), archive_(&stream_), name_(std::move(name)), strict_(strict) {
    const auto [data, size] = archive_.getRecord(name_ + ".pkl");
    code_.assign(static_cast<const char*>(data.get()), size);
  }

  Value run() {
    while (true) {
      const auto instruction = static_cast<unsigned char>(take(1)[0]);
      if (instruction == '.') return pop();
      const auto known = instructions().find(instruction);
      if (known == instructions().end()) give_up("an instruction that torch.save does not write");
      known->second(*this);
    }
  }

 private:
  std::string take(std::uint64_t count) {
    if (count > code_.size() - at_) give_up("it ends too early");
    at_ += count;
    return code_.substr(at_ - count, count);
  }

  std::int64_t whole(int bytes, bool with_sign = false) {
    const std::string text = take(bytes);
    std::uint64_t value = 0;
    for (int i = 0; i < bytes && i < 8; ++i)
      value |= static_cast<std::uint64_t>(static_cast<unsigned char>(text[i])) << (8 * i);
    if (with_sign && bytes > 0 && bytes < 8 && (text.back() & 0x80) != 0)
      value |= ~std::uint64_t{0} << (8 * bytes);
    return static_cast<std::int64_t>(value);
  }

  std::string line() {
    const std::size_t end = code_.find('\n', at_);
    if (end == std::string::npos) give_up("it ends too early");
    const std::string text = take(end - at_);
    take(1);
    return text;
  }

  void push(Value value) { stack_.push_back(std::move(value)); }
  Value pop() {
    if (stack_.empty()) give_up("its instructions do not fit together");
    Value value = std::move(stack_.back());
    stack_.pop_back();
    return value;
  }
  const Value& top() {
    if (stack_.empty()) give_up("its instructions do not fit together");
    return stack_.back();
  }
  std::vector<Value> since_mark() {
    if (marks_.empty() || marks_.back() > stack_.size()) give_up("its instructions do not fit together");
    std::vector<Value> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  std::vector<Value> last(std::size_t count) {
    std::vector<Value> items(count);
    while (count > 0) items[--count] = pop();
    return items;
  }
  void push_sequence(std::vector<Value> items) {
    push(make(Kind::sequence));
    top()->items = std::move(items);
  }
  void push_name(const std::string& module, const std::string& name) {
    push(make(Kind::name, module + "." + name));
  }
  void extend(const std::vector<Value>& items) {
    top()->items.insert(top()->items.end(), items.begin(), items.end());
  }

  void set(const std::vector<Value>& items) {
    if (items.size() % 2 != 0) give_up("its instructions do not fit together");
    if (top()->kind == Kind::other) top()->kind = Kind::dictionary;
    if (top()->kind == Kind::dictionary) extend(items);
  }

  Value remembered(std::int64_t number) {
    const auto found = memo_.find(number);
    if (found == memo_.end()) give_up("its instructions do not fit together");
    return found->second;
  }

  // ("storage", class, key, device, numbers).
  Value storage(const Value& named) const {
    if (named->items.size() < 5) give_up("a tensor's numbers are not where torch.save puts them");
    Value found = make(Kind::storage, named->items[2]->text);
    found->number = named->items[4]->number;
    const auto dtype = dtype_of(named->items[1]->text);
    if (!dtype && strict_) give_up("a tensor's type is unknown");
    if (!dtype) return make(Kind::other);
    found->dtype = *dtype;
    return found;
  }

  Value called(const std::string& name, const std::vector<Value>& arguments) {
    if (name == "collections.OrderedDict") return make(Kind::dictionary);
    if (name == "torch._utils._rebuild_parameter" && !arguments.empty()) return arguments[0];
    const bool tensor = name == "torch._utils._rebuild_tensor_v2" || name == "torch._utils._rebuild_tensor";
    if (!tensor || arguments.size() < 4 || arguments[0]->kind != Kind::storage) return make(Kind::other);
    Value made = make(Kind::tensor);
    made->tensor =
        tensor_of(*arguments[0], arguments[1]->number, numbers_in(arguments[2]), numbers_in(arguments[3]));
    return made;
  }

  at::Tensor tensor_of(const Object& storage, std::int64_t offset, const std::vector<std::int64_t>& sizes,
                       const std::vector<std::int64_t>& strides) {
    const auto [data, bytes] = archive_.getRecord(name_ + "/" + storage.text);
    const auto numbers = static_cast<std::int64_t>(bytes / c10::elementSize(storage.dtype));
    if (storage.number > numbers) give_up("a record has fewer numbers than it should");
    double last = static_cast<double>(offset);
    bool empty = false;
    if (sizes.size() != strides.size() || offset < 0) give_up("a tensor's shape is damaged");
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      empty = empty || sizes[i] == 0;
      last += static_cast<double>(sizes[i] - 1) * static_cast<double>(strides[i]);
    }
    if (empty) return at::empty(sizes, storage.dtype);
    if (last >= static_cast<double>(numbers)) give_up("a tensor has more numbers than are there");
    at::Tensor all = at::empty({numbers}, storage.dtype);
    std::memcpy(all.data_ptr(), data.get(), numbers * c10::elementSize(storage.dtype));
    return all.as_strided(sizes, strides, offset).contiguous();
  }

  using Instructions = std::map<unsigned char, std::function<void(Machine&)>>;
  static const Instructions& instructions();

  std::istringstream stream_;
  caffe2::serialize::PyTorchStreamReader archive_;
  std::string name_, code_;
  bool strict_;
  std::uint64_t at_ = 0;
  std::vector<Value> stack_;
  std::vector<std::size_t> marks_;
  std::map<std::int64_t, Value> memo_;
};

// By their codes; beside them the names in pickletools.py.
const Machine::Instructions& Machine::instructions() {
  const auto other = [](int bytes) {
    return [bytes](Machine& m) {
      m.take(bytes);
      m.push(make(Kind::other));
    };
  };
  const auto whole = [](int bytes, bool with_sign) {
    return [=](Machine& m) { m.push(make(Kind::number, "", m.whole(bytes, with_sign))); };
  };
  const auto text = [](int bytes, Kind kind) {
    return [=](Machine& m) { m.push(make(kind, m.take(m.whole(bytes)))); };
  };
  const auto empty = [](Kind kind) { return [kind](Machine& m) { m.push(make(kind)); }; };
  const auto tuple = [](int items) { return [items](Machine& m) { m.push_sequence(m.last(items)); }; };
  const auto remember = [](int bytes) { return [bytes](Machine& m) { m.memo_[m.whole(bytes)] = m.top(); }; };
  const auto recall = [](int bytes) { return [bytes](Machine& m) { m.push(m.remembered(m.whole(bytes))); }; };
  static const Instructions known{
      {0x80, [](Machine& m) { m.take(1); }},                                                  // PROTO
      {0x95, [](Machine& m) { m.take(8); }},                                                  // FRAME
      {'N', other(0)},                                                                        // NONE
      {0x88, other(0)},                                                                       // NEWTRUE
      {0x89, other(0)},                                                                       // NEWFALSE
      {'G', other(8)},                                                                        // BINFLOAT
      {'J', whole(4, true)},                                                                  // BININT
      {'K', whole(1, false)},                                                                 // BININT1
      {'M', whole(2, false)},                                                                 // BININT2
      {0x8a, [](Machine& m) { m.push(make(Kind::number, "", m.whole(m.whole(1), true))); }},  // LONG1
      {'X', text(4, Kind::text)},                                                             // BINUNICODE
      {0x8c, text(1, Kind::text)},                                     // SHORT_BINUNICODE
      {0x8d, text(8, Kind::text)},                                     // BINUNICODE8
      {'B', text(4, Kind::other)},                                     // BINBYTES
      {'C', text(1, Kind::other)},                                     // SHORT_BINBYTES
      {'(', [](Machine& m) { m.marks_.push_back(m.stack_.size()); }},  // MARK
      {'}', empty(Kind::dictionary)},                                  // EMPTY_DICT
      {']', empty(Kind::sequence)},                                    // EMPTY_LIST
      {')', empty(Kind::sequence)},                                    // EMPTY_TUPLE
      {0x8f, empty(Kind::sequence)},                                   // EMPTY_SET
      {'t', [](Machine& m) { m.push_sequence(m.since_mark()); }},      // TUPLE
      {0x85, tuple(1)},
      {0x86, tuple(2)},
      {0x87, tuple(3)},
      {'a', [](Machine& m) { m.extend(m.last(1)); }},                                   // APPEND
      {'e', [](Machine& m) { m.extend(m.since_mark()); }},                              // APPENDS
      {0x90, [](Machine& m) { m.extend(m.since_mark()); }},                             // ADDITEMS
      {'s', [](Machine& m) { m.set(m.last(2)); }},                                      // SETITEM
      {'u', [](Machine& m) { m.set(m.since_mark()); }},                                 // SETITEMS
      {'q', remember(1)},                                                               // BINPUT
      {'r', remember(4)},                                                               // LONG_BINPUT
      {0x94, [](Machine& m) { m.memo_[static_cast<int>(m.memo_.size())] = m.top(); }},  // MEMOIZE
      {'h', recall(1)},                                                                 // BINGET
      {'j', recall(4)},                                                                 // LONG_BINGET
      {'c',
       [](Machine& m) {
         const std::string module = m.line();
         m.push_name(module, m.line());
       }},  // GLOBAL
      {0x93,
       [](Machine& m) {
         const auto both = m.last(2);
         m.push_name(both[0]->text, both[1]->text);
       }},                                                    // STACK_GLOBAL
      {'Q', [](Machine& m) { m.push(m.storage(m.pop())); }},  // BINPERSID
      {'R',
       [](Machine& m) {
         const auto both = m.last(2);
         m.push(m.called(both[0]->text, both[1]->items));
       }},  // REDUCE
      {0x81,
       [](Machine& m) {
         m.last(2);
         m.push(make(Kind::other));
       }},                                 // NEWOBJ
      {'b', [](Machine& m) { m.pop(); }},  // BUILD
  };
  return known;
}

void collect(const Object& value, const std::string& name, int depth,
             std::map<std::string, at::Tensor>& found) {
  constexpr int deepest = 20;  // an object may hold itself
  if (value.kind == Kind::tensor) found[name] = value.tensor;
  if (value.kind != Kind::dictionary || depth == deepest) return;
  for (std::size_t i = 0; i + 1 < value.items.size(); i += 2)
    if (value.items[i]->kind == Kind::text)
      collect(*value.items[i + 1], (name.empty() ? "" : name + ".") + value.items[i]->text, depth + 1, found);
}

}  // namespace

std::map<std::string, at::Tensor> pickled_tensors(const std::string& bytes) {
  std::map<std::string, at::Tensor> found;
  try {
    collect(*Machine(bytes, "data", false).run(), "", 0, found);
  } catch (const c10::Error&) {
    give_up("records are missing that torch.save writes");
  }
  return found;
}

void check_tensors(const std::string& bytes, const std::string& name) {
  try {
    Machine(bytes, name, true).run();
  } catch (const c10::Error&) {
    give_up("records are missing");
  }
}

}  // namespace whence
