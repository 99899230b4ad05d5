#include "expunge/io/gguf_quantization.hpp"

#include <string>
#include <vector>

#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>

#include "expunge/io/gguf.hpp"
#include "expunge/io/safetensors.hpp"
#include "temporary_folder.hpp"

using namespace expunge::io;

namespace {

const std::string golden = EXPUNGE_SOURCE_DIR "/test/golden/gguf/";

}  // namespace

BOOST_AUTO_TEST_SUITE(gguf_quantization)

using values = boost::mpl::list<float, double>;

// All products in the formats are exact in float, so nothing but the last rounding remains, and that is defined.
BOOST_AUTO_TEST_CASE_TEMPLATE(every_type_equals_the_reference_implementation, Value, values) {
  const gguf_file file(golden + "types.gguf");
  const safetensors_file expected(golden + "expected.safetensors");
  BOOST_TEST(expected.tensors().size() == 16U);
  for (const tensor_entry& entry : expected.tensors()) {
    const auto size = static_cast<std::size_t>(element_count(entry.extents).value());
    std::vector<Value> want(size), got(size);
    expected.read_into<Value>(entry.name, want);
    file.read_into<Value>(entry.name, got);
    BOOST_TEST(got == want, entry.name);
    BOOST_TEST(file.tensor(entry.name).extents == entry.extents, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(unsupported_types_and_wrong_sizes_are_named) {
  const gguf_file file(golden + "types.gguf");
  std::vector<float> out(3 * 512);
  BOOST_CHECK_EXCEPTION(file.read_into<float>("unsupported", out), expunge::error, message_contains("Q2_K"));
  BOOST_CHECK_EXCEPTION(file.read_into<float>("unsupported", out), expunge::error, message_contains("'unsupported'"));
  out.pop_back();
  BOOST_CHECK_EXCEPTION(file.read_into<float>("Q4_K", out), expunge::error, message_contains("'Q4_K'"));
  out.resize(512);
  BOOST_CHECK_THROW(file.read_into<float>("Q4_K", out), expunge::error);
}

BOOST_AUTO_TEST_SUITE_END()
