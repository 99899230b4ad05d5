#include "expunge/io/atomic_file.hpp"

#include <csignal>
#include <stdexcept>

#include <boost/test/unit_test.hpp>

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../message_of.hpp"
#include "temporary_folder.hpp"

using expunge::io::atomic_file;
using expunge::io::write_file_atomically;

namespace {
int flushes = 0;
}

/// In place of the C library's: it counts.
extern "C" int fsync(int descriptor) {
  ++flushes;
  return static_cast<int>(::syscall(SYS_fsync, descriptor));
}

BOOST_AUTO_TEST_SUITE(atomic_files)

BOOST_AUTO_TEST_CASE(replaces_the_old_content) {
  const temporary_folder folder;
  const auto path = folder.write("log", "a much longer old content");
  write_file_atomically(path, "new");
  BOOST_TEST(read_all(path) == "new");
  write_file_atomically(path, [](atomic_file& file) {
    file.write("a");
    file.write("");
    file.write("b");
  });
  BOOST_TEST(read_all(path) == "ab");
  BOOST_TEST(!std::filesystem::exists(folder.path() / "log.partial"));
}

BOOST_AUTO_TEST_CASE(a_failure_changes_nothing) {
  const temporary_folder folder;
  const auto path = folder.write("log", "old");
  const auto broken = [](atomic_file& file) {
    file.write("half of the new");
    throw std::runtime_error("stop");
  };
  BOOST_CHECK_THROW(write_file_atomically(path, broken), std::runtime_error);
  BOOST_TEST(read_all(path) == "old");
  BOOST_TEST(!std::filesystem::exists(folder.path() / "log.partial"));
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_or_has_lost_its_place_is_an_error) {
  const temporary_folder folder;
  const auto path = folder.write("log", "old"), other = folder.path() / "other";
  const auto on_full = std::signal(SIGXFSZ, SIG_IGN);  // write() writes a part, then fails, as on a full disk
  ::rlimit before{};
  BOOST_TEST_REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const ::rlimit full{4096, before.rlim_max};
  BOOST_TEST_REQUIRE(::setrlimit(RLIMIT_FSIZE, &full) == 0);
  const std::string message = expunge::testing::message_of([&] { write_file_atomically(path, std::string(10000, 'n')); });
  BOOST_TEST_REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, on_full);
  BOOST_TEST(message.find("cannot write") != std::string::npos, message);
  BOOST_TEST(read_all(path) == "old");
  BOOST_CHECK_EXCEPTION(write_file_atomically(other, [&](atomic_file&) { std::filesystem::create_directory(other); }), expunge::error,
                        message_contains("cannot rename"));
  for (const char* name : {"log.partial", "other.partial"}) BOOST_TEST(!std::filesystem::exists(folder.path() / name));
}

BOOST_AUTO_TEST_CASE(a_file_is_flushed_open_to_others_and_closed) {
  const temporary_folder folder;
  const auto before = open_files();
  const auto mask = ::umask(022);
  flushes = 0;
  write_file_atomically(folder.path() / "log", "new");
  BOOST_TEST(flushes == 2);  // the file and its folder
  ::umask(mask);
  BOOST_TEST(static_cast<unsigned>(std::filesystem::status(folder.path() / "log").permissions()) == 0644U);
  BOOST_TEST(open_files() == before);
}

BOOST_AUTO_TEST_CASE(links_and_pipes_are_replaced_not_written_to, *boost::unit_test::timeout(10)) {
  const temporary_folder folder;
  const auto other = folder.write("other", "of someone else"), path = folder.path() / "log", partial = folder.path() / "log.partial";
  const auto replaces = [&] {
    write_file_atomically(path, "new");
    BOOST_TEST(read_all(path) == "new");
    BOOST_TEST(std::filesystem::is_regular_file(std::filesystem::symlink_status(path)));
    BOOST_TEST(read_all(other) == "of someone else");
    BOOST_TEST(!std::filesystem::exists(partial));
    std::filesystem::remove(path);
  };
  std::filesystem::create_symlink(other, path);
  replaces();
  std::filesystem::create_symlink(other, partial);
  replaces();
  BOOST_TEST_REQUIRE(::mkfifo(partial.c_str(), 0600) == 0);
  replaces();
  static_cast<void>(folder.write("log.partial", "left by a crash, and longer than the new"));
  replaces();
}

BOOST_AUTO_TEST_CASE(what_another_writes_is_left_alone) {
  const temporary_folder folder;
  const auto path = folder.path() / "log";
  {
    atomic_file first(path);
    first.write("of the first");
    BOOST_CHECK_EXCEPTION(atomic_file second(path), expunge::error, message_contains("log\": another run is writing this file"));
    first.commit();
  }
  BOOST_TEST(read_all(path) == "of the first");
  write_file_atomically(path, "of the second");
  BOOST_TEST(read_all(path) == "of the second");
}

BOOST_AUTO_TEST_CASE(errors_name_the_file) {
  const temporary_folder folder;
  BOOST_CHECK_EXCEPTION(write_file_atomically(folder.path() / "no" / "where", "x"), expunge::error,
                        message_contains("where"));
  std::filesystem::create_directory(folder.path() / "taken");
  BOOST_CHECK_EXCEPTION(write_file_atomically(folder.path() / "taken", "x"), expunge::error,
                        message_contains("not a regular file"));
  BOOST_CHECK_EXCEPTION(expunge::io::atomic_file("/dev/null"), expunge::error, message_contains("/dev/null"));
  BOOST_TEST(!std::filesystem::exists(folder.path() / "taken.partial"));
}

BOOST_AUTO_TEST_SUITE_END()
