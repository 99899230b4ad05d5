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

/// Memory exhausted. The message gives the bytes asked for and those in use or free; whoever knows what they were for puts it in front.
class out_of_memory : public error {
 public:
  using error::error;
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

/// Calls f; where that runs out of memory, the error begins with the concatenation of `parts`: what the memory was for.
template <class F, class... Parts>
auto with_purpose(const F& f, const Parts&... parts) {
  try {
    return f();
  } catch (const out_of_memory& e) {
    std::ostringstream message;
    (message << ... << parts) << ": " << e.what();
    throw out_of_memory(message.str());
  }
}

}  // namespace expunge
