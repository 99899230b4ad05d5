// The weights of any model as a safetensors file, by the names that its `visit` gives them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <map>
#include <set>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "expunge/io/safetensors.hpp"
#include "expunge/io/safetensors_writer.hpp"
#include "expunge/nn/parameter_tree.hpp"

namespace expunge::model {

namespace detail {
/// Refuses numbers that no training can use, naming file and tensor.
template <class T>
void require_finite(const std::vector<T>& values, const std::filesystem::path& file, const std::string& name) {
  for (const T v : values)
    require(std::isfinite(v), file, ": tensor '", name, "' holds a value that is not finite: the file is damaged or training diverged");
}
}  // namespace detail

/// Writes every parameter of `model` to `path`, whole or not at all, in the model's own precision. Throws expunge::error where two have one
/// name, or the file cannot be written.
template <class M>
void save_parameters(const std::filesystem::path& path, const M& model) {
  using X = typename M::value_type;
  using T = typename X::value_type;
  std::map<std::string, X> by_name;
  std::vector<io::tensor_entry> entries;
  nn::for_each_parameter(
      [&](const nn::name_path& at, const X& p) {
        require(!p.absent(), path, ": parameter '", at.str(), "' is not set");
        by_name[at.str()] = p;
        entries.push_back({at.str(), std::is_same_v<T, double> ? io::dtype::f64 : io::dtype::f32, {p.extents().begin(), p.extents().end()}, {}});
      },
      model);
  std::vector<T> values;
  io::write_safetensors(path, entries, {{"format", "pt"}}, [&](const io::tensor_entry& entry) {
    values = by_name.at(entry.name).to_vector();
    return std::as_bytes(std::span<const T>(values));
  });
}

/// Reads all parameters of `model`, which has their shapes already, from floating-point tensors of those names. Throws expunge::error naming
/// file and tensor, and changes nothing, for a tensor that is missing, of another shape, of whole numbers, not finite, or no parameter.
template <class M>
void load_parameters(const std::filesystem::path& path, M& model) {
  using X = typename M::value_type;
  using T = typename X::value_type;
  const io::safetensors_file file(path);
  std::set<std::string> names;
  std::vector<X> loaded;
  nn::for_each_parameter(
      [&](const nn::name_path& at, const X& p) {
        const std::string name = at.str();
        require(!p.absent(), path, ": the model's parameter '", name, "' has no shape yet: give it one, as zeros");
        require(names.insert(name).second, path, ": two parameters of the model are called '", name, "'");
        const io::tensor_entry& entry = file.tensor(name);
        require(std::ranges::equal(entry.extents, p.extents()), path, ": tensor '", name, "' has shape ", io::to_string(entry.extents),
                ", the model's is ", p.extents());
        require(io::is_floating(entry.type), path, ": tensor '", name, "' holds whole numbers, expected F64, F32, F16 or BF16");
        std::vector<T> values(static_cast<std::size_t>(p.size()));
        file.read_into(name, std::span(values));
        detail::require_finite(values, path, name);
        loaded.emplace_back(p.extents(), values);
      },
      std::as_const(model));
  for (const io::tensor_entry& entry : file.tensors())
    require(names.contains(entry.name), path, ": tensor '", entry.name, "' of shape ", io::to_string(entry.extents), " is no parameter of the model");
  std::size_t i = 0;
  nn::for_each_parameter([&](const nn::name_path&, X& p) { copy_into(p, loaded[i++]); }, model);
}

}  // namespace expunge::model
