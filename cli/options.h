// How a command declares its options and reads their values.
//
//   std::string directory;
//   options->Usage("[OPTION]... --wal=DIR");
//   options->Path("--wal=DIR", &directory, "directory of WAL segments").Required();
//   options->Flag("-f, --follow", &follow, "wait for more WAL at the end");
//
// The text that names an option is the text that --help prints for it: an optional short name, the
// long name, and the name of the value; "[=VALUE]" for a value that may be left out. The command
// line is split by getopt_long, as in PostgreSQL's own programs: options and arguments in any
// order, unambiguous beginnings of long names, "--" before arguments that begin with a hyphen.
// When an option is given twice the last one counts, unless its values are a list.
#ifndef NEON_REDO_CLI_OPTIONS_H_
#define NEON_REDO_CLI_OPTIONS_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/failure.h"
#include "cpp_core/base/number.h"
#include "neon_redo/error.h"
#include "neon_redo/lsn.h"

namespace neon_redo::cli {

// One declared option. Lives as long as the Options that made it.
class Option {
 public:
  Option& Required() {
    required_ = true;
    return *this;
  }
  // The option makes sense only together with the other, named as "--slot".
  Option& Needs(const char* other) {
    needs_.emplace_back(other);
    return *this;
  }
  // Whether the command line has it; after Options::Parse.
  bool given() const { return given_; }

 private:
  friend class Options;

  char short_name_ = 0;    // or 0
  std::string long_name_;  // without the hyphens
  bool takes_value_ = false;
  bool value_is_optional_ = false;
  std::string spec_;  // what --help prints before the description
  std::string help_;
  std::string heading_;  // printed before this option; or empty
  std::function<Status(const std::string&)> set_;
  bool required_ = false;
  std::vector<std::string> needs_;
  bool given_ = false;
};

// Both ends included.
struct Range {
  int64_t min;
  int64_t max;
};

inline constexpr std::chrono::duration<double> kNoTime{0};

// The options and arguments of one command. What the pointers point to outlives Parse, and is left
// alone when its option is not given, so that its value before is the default.
class Options {
 public:
  explicit Options(std::string command) : command_(std::move(command)) {}

  // For --help: what follows the command's name in "Usage:", the text before the options, and the
  // text after them. Paragraphs are broken into lines; indented lines are printed as they are.
  void Usage(std::string usage) { usage_ = std::move(usage); }
  void Introduction(std::string text) { introduction_ = std::move(text); }
  void Notes(std::string text) { notes_ = std::move(text); }
  // --help prints the text before the next option.
  void Heading(std::string text) { heading_ = std::move(text); }

  Option& Flag(const char* spec, bool* value, const char* help);
  Option& Text(const char* spec, std::string* value, const char* help);
  Option& TextList(const char* spec, std::vector<std::string>* values, const char* help);
  // A file or directory; must not be empty.
  Option& Path(const char* spec, std::string* value, const char* help);
  // The same that may be given several times.
  Option& PathList(const char* spec, std::vector<std::string>* values, const char* help);
  Option& Size(const char* spec, uint64_t* bytes, uint64_t min, const char* help);
  Option& Location(const char* spec, std::optional<Lsn>* lsn, const char* help);
  // min: the shortest that is accepted; kNoTime: any.
  Option& Duration(const char* spec, std::chrono::duration<double>* value,
                   std::chrono::duration<double> min, const char* help);
  // T: an integer type, or an optional of one; the range fits it.
  template <typename T>
  Option& Integer(const char* spec, T* value, Range range, const char* help) {
    return Value(
        spec,
        [value, range](const std::string& text) -> Status {
          const auto number = ParseInteger(text, range.min, range.max);
          if (!number) return tl::unexpected(number.error());
          *value = static_cast<T>(*number);
          return {};
        },
        help);
  }
  // One of a few words, each with the value that it stands for.
  template <typename T>
  Option& Choice(const char* spec, T* value,
                 std::initializer_list<std::pair<const char*, T>> choices, const char* help) {
    std::vector<std::pair<std::string, T>> list(choices.begin(), choices.end());
    return Value(
        spec,
        [value, list = std::move(list)](const std::string& text) -> Status {
          std::vector<std::string_view> names;
          for (const auto& [name, meaning] : list) {
            if (name == text) {
              *value = meaning;
              return {};
            }
            names.push_back(name);
          }
          return NotAChoice(names);
        },
        help);
  }
  // Anything else: set gets the text, empty when an optional value was left out. The message of its
  // error says what is wrong with the text.
  Option& Value(const char* spec, std::function<Status(const std::string&)> set, const char* help);

  // Arguments that are not options, all of them optional for the parser.
  void Arguments(std::vector<std::string>* values, size_t most) {
    arguments_ = values;
    most_arguments_ = most;
  }
  // Unknown options and surplus arguments are left out instead of refused.
  void IgnoreUnknown() { ignore_unknown_ = true; }

  // "--format=text|json" has been declared, and says json.
  void set_json(const bool* json) { json_ = json; }
  bool json() const { return json_ != nullptr && *json_; }
  bool declares_json() const { return json_ != nullptr; }

  // The arguments after the command's name. Sets values in the order of the command line. After
  // "-?" or "--help" nothing is checked.
  tl::expected<void, Failure> Parse(const std::vector<std::string>& arguments);
  bool wants_help() const { return wants_help_; }
  std::string Help() const;

  // A mistake in the use of the command: the hint names its --help.
  Failure Misuse(std::string message) const;

 private:
  static Status NotAChoice(const std::vector<std::string_view>& names);
  tl::expected<void, Failure> Set(Option* option, const char* value);
  // What getopt_long refused: '?' for an unknown option, ':' for a missing value.
  Failure Refuse(int reason, const std::string& argument) const;
  tl::expected<void, Failure> CheckTogether() const;

  const std::string command_;
  std::string usage_ = "[OPTION]...";
  std::string introduction_;
  std::string notes_;
  std::string heading_;
  std::deque<Option> options_;
  std::vector<std::string>* arguments_ = nullptr;
  size_t most_arguments_ = 0;
  bool ignore_unknown_ = false;
  const bool* json_ = nullptr;
  bool wants_help_ = false;
};

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_OPTIONS_H_
