// A file mapped read-only into memory (POSIX).
#pragma once

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "expunge/core/error.hpp"

namespace expunge::io {

/// Owns a read-only mapping of a whole regular file. The address of its bytes survives moves of the object. As with
/// every mapping, another process that shortens the file meanwhile makes later reads fault.
class mapped_file {
 public:
  /// Throws expunge::error naming the file when it cannot be opened, is no regular file or cannot be mapped.
  explicit mapped_file(std::filesystem::path path) : path_(std::move(path)) {
    const descriptor file{::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};  // which does not wait for a pipe's writer
    if (file.value < 0) fail_with_reason("cannot open");
    struct stat status {};
    if (::fstat(file.value, &status) != 0) fail_with_reason("cannot read the size of");
    require(S_ISREG(status.st_mode), path_, ": not a regular file");
    const auto size = static_cast<std::size_t>(status.st_size);
    if (size == 0) return;  // an empty mapping is not allowed; an empty span needs none
    void* const data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.value, 0);
    if (data == MAP_FAILED) fail_with_reason("cannot map");
    bytes_ = {static_cast<const std::byte*>(data), size};
  }

  mapped_file(mapped_file&& other) noexcept
      : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})) {}

  mapped_file& operator=(mapped_file&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  ~mapped_file() {
    if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

  /// The bytes read as characters.
  [[nodiscard]] std::string_view text() const {
    return bytes_.empty() ? std::string_view{}
                          : std::string_view{reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }

 private:
  struct descriptor {
    int value;
    explicit descriptor(int opened) : value(opened) {}
    descriptor(const descriptor&) = delete;
    descriptor& operator=(const descriptor&) = delete;
    ~descriptor() {
      if (value >= 0) ::close(value);
    }
  };

  [[noreturn]] void fail_with_reason(std::string_view what) const {
    fail(what, ' ', path_, ": ", std::generic_category().message(errno));
  }

  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
};

}  // namespace expunge::io
