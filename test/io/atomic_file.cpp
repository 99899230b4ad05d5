#include "expunge/io/atomic_file.hpp"

#include <stdexcept>

#include <boost/test/unit_test.hpp>

#include <sys/stat.h>

#include "temporary_folder.hpp"

using expunge::io::atomic_file;
using expunge::io::write_file_atomically;

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
