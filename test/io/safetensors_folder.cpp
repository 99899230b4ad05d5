#include "expunge/io/safetensors_folder.hpp"

#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include "expunge/io/safetensors_writer.hpp"
#include "temporary_folder.hpp"

using namespace expunge::io;

namespace {

const std::vector<float> one{1, 2};
const std::vector<float> two{3, 4};

void write(const std::filesystem::path& path, const std::string& name, const std::vector<float>& values) {
  write_safetensors(path, std::vector<tensor_entry>{{name, dtype::f32, {2}, std::as_bytes(std::span(values))}});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(safetensors_folders)

BOOST_AUTO_TEST_CASE(shards_are_one_set_of_tensors) {
  const temporary_folder folder;
  write(folder.path() / "1.safetensors", "a", one);
  write(folder.path() / "2.safetensors", "b", two);
  static_cast<void>(folder.write("model.safetensors.index.json", R"({"metadata": {"total_size": 16}, "weight_map":
                                {"b": "2.safetensors", "a": "1.safetensors"}})"));
  const safetensors_folder weights(folder.path());
  BOOST_TEST((weights.names() == std::vector<std::string>{"a", "b"}));
  std::vector<float> values(2);
  weights.read_into<float>("b", values);
  BOOST_TEST(values == two);
  BOOST_TEST((weights.tensor("a").extents == std::vector<expunge::index_t>{2}));
  BOOST_TEST(!weights.contains("c"));
  BOOST_CHECK_EXCEPTION(weights.read_into<float>("c", values), expunge::error, message_contains("no tensor 'c'"));
}

BOOST_AUTO_TEST_CASE(one_file_by_folder_or_by_name) {
  const temporary_folder folder;
  const auto path = folder.path() / "model.safetensors";
  write(path, "a", one);
  for (const auto& opened : {folder.path(), path}) BOOST_TEST(safetensors_folder(opened).contains("a"));
}

BOOST_AUTO_TEST_CASE(broken_folders_are_refused) {
  const temporary_folder folder;
  BOOST_CHECK_EXCEPTION(safetensors_folder{folder.path()}, expunge::error, message_contains("neither"));
  write(folder.path() / "1.safetensors", "a", one);
  for (const char* index : {"", "{", "[]", "{}", R"({"weight_map": 1})", R"({"weight_map": {"a": 1}})",
                            R"({"weight_map": {"b": "1.safetensors"}})", R"({"weight_map": {"a": "2.safetensors"}})",
                            R"({"weight_map": {"a": "../1.safetensors"}})", R"({"weight_map": {"a": ".."}})",
                            R"({"weight_map": {"a": ""}})", R"({"weight_map": {"a": "1.safetensors\u0000"}})",
                            R"({"weight_map": {"a": "1.safetensors", "a": "1.safetensors"}})"}) {
    static_cast<void>(folder.write("model.safetensors.index.json", index));
    BOOST_CHECK_THROW(safetensors_folder{folder.path()}, expunge::error);
  }
}

BOOST_AUTO_TEST_CASE(what_the_system_does_not_tell_is_an_error_of_ours) {
  const temporary_folder folder;
  const auto refused = [&](const std::filesystem::path& path, const char* name) {
    BOOST_CHECK_EXCEPTION(safetensors_folder{path}, expunge::error, message_contains(name));
  };
  refused(folder.path() / "missing", "missing");
  refused(std::string(5000, 'a'), "aaa");
  for (const char* name : {"loop", "model.safetensors.index.json", "model.safetensors"}) {
    std::filesystem::create_symlink(name, folder.path() / name);
    refused(std::string(name) == "loop" ? folder.path() / name : folder.path(), name);
  }
}

BOOST_AUTO_TEST_SUITE_END()
