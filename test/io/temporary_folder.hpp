// Helpers of the io tests: a folder that disappears with its scope, broken copies of a file, error messages.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>

class temporary_folder {
 public:
  temporary_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "expunge_io_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  ~temporary_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  [[nodiscard]] std::filesystem::path write(std::string_view name, std::string_view content) const {
    const auto file = path_ / name;
    std::ofstream(file, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
    return file;
  }

 private:
  std::filesystem::path path_;
};

inline std::ptrdiff_t open_files() { return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}); }

inline std::string read_all(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Calls attempt(path) on copies of `original` in which each of the first `size` bytes is in turn replaced by each of
// `replacements`, and then on copies cut off within these bytes.
template <class Attempt>
void for_each_mutation(const std::string& original, std::size_t size, std::string_view replacements, Attempt attempt) {
  const temporary_folder folder;
  const auto path = folder.write("mutated", original);
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  const auto put = [&](std::size_t at, char byte) {
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte).flush();
  };
  for (std::size_t i = 0; i < size; ++i) {
    for (const char replacement : replacements) {
      put(i, replacement);
      attempt(path);
    }
    put(i, original[i]);
  }
  for (std::size_t length = size; length-- > 0;) {
    std::filesystem::resize_file(path, length);
    attempt(path);
  }
}

inline std::function<bool(const std::exception&)> message_contains(std::string part) {
  return [part](const std::exception& e) { return std::string_view(e.what()).find(part) != std::string_view::npos; };
}
