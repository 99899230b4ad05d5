// Locks by which programs know that another one is at a file or folder (POSIX).
#pragma once

#include <cerrno>
#include <filesystem>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace expunge::io {

/// The exclusive lock of what is at `path`, until this object or its process is gone. What cannot be opened, with `flags` of open(), is not
/// locked.
class file_lock {
 public:
  file_lock(const std::filesystem::path& path, int flags)
      : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags)),
        held_elsewhere_(descriptor_ >= 0 && ::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {}

  file_lock(const file_lock&) = delete;
  file_lock& operator=(const file_lock&) = delete;

  ~file_lock() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  [[nodiscard]] bool held_elsewhere() const { return held_elsewhere_; }

 private:
  int descriptor_;
  bool held_elsewhere_;
};

}  // namespace expunge::io
