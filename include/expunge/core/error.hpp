// The one exception type of the library, and a helper that composes its message.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace expunge {

/// Thrown for every condition a caller can cause: bad files, shapes that do not fit, meaningless settings.
/// The message names the file, tensor or setting, what was expected and found, and the remedy.
class error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws expunge::error with the concatenation of `parts` (anything that prints to a std::ostream).
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw error(message.str());
}

/// Throws expunge::error with the concatenation of `parts` unless `condition` holds.
template <class... Parts>
void require(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]]
    fail(parts...);
}

}  // namespace expunge
