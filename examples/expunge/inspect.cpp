#include "program.hpp"

#include <expunge/report/table.hpp>

#include <iostream>
#include <memory>
#include <sstream>

using namespace expunge;

namespace program {

namespace {

void inspect_gguf(const std::filesystem::path& path) {
  const io::gguf_file file(path);
  std::cout << path.string() << ": GGUF\n\n";
  report::table meta({"key", "value"});
  for (const auto& [key, value] : file.metadata().values()) {
    std::ostringstream text;
    if (const auto s = io::gguf_value_as<std::string>(value)) text << (s->size() > 60 ? s->substr(0, 57) + "..." : *s);
    else if (const auto i = io::gguf_value_as<std::int64_t>(value)) text << *i;
    else if (const auto d = io::gguf_value_as<double>(value)) text << *d;
    else if (const auto b = io::gguf_value_as<bool>(value)) text << (*b ? "true" : "false");
    else text << io::kind_of(value);
    meta.add({key, text.str()});
  }
  report::table tensors({"tensor", "type", "shape"});
  for (const auto& t : file.tensors()) tensors.add({t.name, std::string(t.type.name), io::to_string(t.extents)});
  std::cout << meta << '\n' << tensors;
}

void inspect_folder(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) {
    static_cast<void>(model::read_hf_config(path / "config.json"));  // refuses what the other commands do
    std::cout << path.string() << ": Hugging Face folder\n\n" << io::mapped_file(path / "config.json").text() << "\n";
  }
  const io::safetensors_folder file(path);
  report::table tensors({"tensor", "bytes", "shape"});
  index_t count = 0;
  for (const std::string& name : file.names()) {
    const auto& t = file.tensor(name);
    tensors.add({name, std::to_string(t.bytes.size()), io::to_string(t.extents)});
    count += io::element_count(t.extents).value_or(0);
  }
  std::cout << tensors << '\n' << count << " parameters\n";
}

}  // namespace

void add_inspect(CLI::App& app, action& run) {
  const auto path = std::make_shared<std::string>();
  CLI::App* c = app.add_subcommand("inspect", "what is in a model file");
  c->add_option("model", *path, "Hugging Face folder, safetensors or GGUF file")->required();
  c->callback([path, &run] {
    run = [path] {
      require(std::filesystem::exists(*path), *path, ": no such file or folder");
      const bool is_gguf = std::filesystem::path(*path).extension() == ".gguf" ||
                           (!std::filesystem::is_directory(*path) && io::mapped_file(*path).text().starts_with("GGUF"));
      if (is_gguf) inspect_gguf(*path);
      else inspect_folder(*path);
    };
  });
}

}  // namespace program
