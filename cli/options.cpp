#include "cli/options.h"

#include <fmt/format.h>
#include <getopt.h>

#include <algorithm>

namespace neon_redo::cli {

namespace {

// What getopt_long returns for the option at an index of options_; above every character.
constexpr int kFirstLong = 256;
constexpr int kHelp = kFirstLong - 1;

// The column where --help's descriptions begin, and the width of its lines.
constexpr size_t kHelpColumn = 27;
constexpr size_t kHelpWidth = 80;

// Breaks the text at spaces, so that lines that begin at the column fit the width.
std::vector<std::string> WrapLines(std::string_view text, size_t column) {
  std::vector<std::string> lines;
  std::string line;
  while (!text.empty()) {
    const size_t space = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, space);
    if (!line.empty() && column + line.size() + 1 + word.size() > kHelpWidth) {
      lines.push_back(std::move(line));
      line.clear();
    }
    if (!line.empty()) line += ' ';
    line += word;
    text.remove_prefix(std::min(space + 1, text.size()));
  }
  lines.push_back(std::move(line));
  return lines;
}

std::string HelpEntry(const std::string& spec, std::string_view help) {
  // Long names stand below each other, with or without a short name before.
  const bool has_short = spec.size() > 1 && spec[1] != '-';
  std::string out = fmt::format("  {}{}", has_short ? "" : "    ", spec);
  bool first = true;
  for (const std::string& line : WrapLines(help, kHelpColumn)) {
    if (!first || out.size() + 2 > kHelpColumn) {
      out += '\n';
      first = false;
      out += std::string(kHelpColumn, ' ') + line;
      continue;
    }
    out += std::string(kHelpColumn - out.size(), ' ') + line;
    first = false;
  }
  return out + '\n';
}

// The lines of a paragraph become as long as they may be; indented lines stay as they are.
std::string WrapParagraphs(std::string_view text) {
  std::string out;
  std::string paragraph;
  const auto end_paragraph = [&] {
    if (paragraph.empty()) return;
    for (const std::string& line : WrapLines(paragraph, 0)) out += line + '\n';
    paragraph.clear();
  };
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty() && line[0] != ' ') {
      if (!paragraph.empty()) paragraph += ' ';
      paragraph += line;
      continue;
    }
    end_paragraph();
    out += std::string(line) + '\n';
  }
  end_paragraph();
  return out;
}

}  // namespace

Option& Options::Value(const char* spec, std::function<Status(const std::string&)> set,
                       const char* help) {
  Option& option = options_.emplace_back();
  option.spec_ = spec;
  option.help_ = help;
  option.heading_ = std::exchange(heading_, {});
  option.set_ = std::move(set);
  std::string_view rest = spec;
  if (!rest.starts_with("--")) {  // "-n, --limit=N"
    option.short_name_ = rest[1];
    rest.remove_prefix(std::min<size_t>(rest.size(), 4));
  }
  rest.remove_prefix(2);
  const size_t end = rest.find_first_of("[=");
  option.long_name_ = rest.substr(0, end);
  option.takes_value_ = end != std::string_view::npos;
  option.value_is_optional_ = option.takes_value_ && rest[end] == '[';
  return option;
}

Option& Options::Flag(const char* spec, bool* value, const char* help) {
  return Value(
      spec,
      [value](const std::string&) {
        *value = true;
        return Status();
      },
      help);
}

Option& Options::Text(const char* spec, std::string* value, const char* help) {
  return Value(
      spec,
      [value](const std::string& text) {
        *value = text;
        return Status();
      },
      help);
}

Option& Options::TextList(const char* spec, std::vector<std::string>* values, const char* help) {
  return Value(
      spec,
      [values](const std::string& text) {
        values->push_back(text);
        return Status();
      },
      help);
}

Option& Options::Path(const char* spec, std::string* value, const char* help) {
  return Value(
      spec,
      [value](const std::string& text) -> Status {
        if (text.empty()) return MakeError(ErrorCode::kInvalidArgument, "a path must not be empty");
        *value = text;
        return {};
      },
      help);
}

Option& Options::PathList(const char* spec, std::vector<std::string>* values, const char* help) {
  return Value(
      spec,
      [values](const std::string& text) -> Status {
        if (text.empty()) return MakeError(ErrorCode::kInvalidArgument, "a path must not be empty");
        values->push_back(text);
        return {};
      },
      help);
}

Option& Options::Size(const char* spec, uint64_t* bytes, uint64_t min, const char* help) {
  return Value(
      spec,
      [bytes, min](const std::string& text) -> Status {
        const auto size = ParseSize(text);
        if (!size) return tl::unexpected(size.error());
        if (*size < min)
          return MakeError(ErrorCode::kInvalidArgument,
                           fmt::format("it must be at least {}MB", min >> 20));
        *bytes = *size;
        return {};
      },
      help);
}

Option& Options::Location(const char* spec, std::optional<Lsn>* lsn, const char* help) {
  return Value(
      spec,
      [lsn](const std::string& text) -> Status {
        const auto parsed = Lsn::Parse(text);
        if (!parsed)
          return MakeError(ErrorCode::kInvalidArgument, "it must be an LSN, such as 16/B374D848");
        *lsn = *parsed;
        return {};
      },
      help);
}

Option& Options::Duration(const char* spec, std::chrono::duration<double>* value,
                          std::chrono::duration<double> min, const char* help) {
  return Value(
      spec,
      [value, min](const std::string& text) -> Status {
        const auto duration = ParseDuration(text);
        if (!duration) return tl::unexpected(duration.error());
        if (*duration < min)
          return MakeError(ErrorCode::kInvalidArgument,
                           fmt::format("it must be at least {} seconds", min.count()));
        *value = *duration;
        return {};
      },
      help);
}

Status Options::NotAChoice(const std::vector<std::string_view>& names) {
  std::string list;
  for (size_t i = 0; i < names.size(); i++) {
    list += i == 0 ? "" : i + 1 == names.size() ? " or " : ", ";
    list += names[i];
  }
  return MakeError(ErrorCode::kInvalidArgument, "it must be " + list);
}

Failure Options::Misuse(std::string message) const {
  return Failure(std::move(message),
                 fmt::format("Try \"neon-redo {} --help\" for more information.", command_));
}

tl::expected<void, Failure> Options::Set(Option* option, const char* value) {
  option->given_ = true;
  const std::string text = value == nullptr ? "" : value;
  const Status set = option->set_(text);
  if (set) return {};
  return Fail(fmt::format("invalid value \"{}\" for option --{}: {}", text, option->long_name_,
                          set.error().message));
}

tl::expected<void, Failure> Options::CheckTogether() const {
  const auto given = [&](const std::string& name) {
    return std::any_of(options_.begin(), options_.end(),
                       [&](const Option& o) { return o.given_ && "--" + o.long_name_ == name; });
  };
  for (const Option& option : options_) {
    if (option.required_ && !option.given_)
      return tl::unexpected(Misuse(fmt::format("option --{} is required", option.long_name_)));
    if (!option.given_) continue;
    for (const std::string& other : option.needs_) {
      if (!given(other))
        return tl::unexpected(
            Misuse(fmt::format("option --{} requires option {}", option.long_name_, other)));
    }
  }
  return {};
}

Failure Options::Refuse(int reason, const std::string& argument) const {
  // optopt: the character of a short option; the value of a known long option, or 0.
  const bool is_short = optopt > 0 && optopt < kHelp;
  const std::string name =
      is_short ? fmt::format("-{:c}", optopt) : argument.substr(0, argument.find('='));
  if (reason == ':') return Misuse(fmt::format("option \"{}\" requires a value", name));
  if (optopt >= kHelp) return Misuse(fmt::format("option \"{}\" does not take a value", name));
  return Misuse(fmt::format("unrecognized option \"{}\"", name));
}

tl::expected<void, Failure> Options::Parse(const std::vector<std::string>& arguments) {
  // The colon: a missing value comes as ':', an unknown option as '?'. -? counts as unknown first.
  std::string short_options = ":h";
  std::vector<option> long_options = {{"help", no_argument, nullptr, kHelp}};
  for (size_t i = 0; i < options_.size(); i++) {
    Option& o = options_[i];
    o.given_ = false;
    if (o.short_name_ != 0) {
      short_options += o.short_name_;
      if (o.takes_value_ && !o.value_is_optional_) short_options += ':';
    }
    const int value = !o.takes_value_        ? no_argument
                      : o.value_is_optional_ ? optional_argument
                                             : required_argument;
    long_options.push_back(
        {o.long_name_.c_str(), value, nullptr, kFirstLong + static_cast<int>(i)});
  }
  long_options.push_back({nullptr, 0, nullptr, 0});

  std::vector<std::string> copies = {"neon-redo"};
  copies.insert(copies.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& copy : copies) argv.push_back(copy.data());
  argv.push_back(nullptr);
  const int argc = static_cast<int>(copies.size());

  optind = 0;  // glibc: start again, also with the order of arguments
  opterr = 0;
  for (;;) {
    const int c =
        getopt_long(argc, argv.data(), short_options.c_str(), long_options.data(), nullptr);
    if (c == -1) break;
    if (c == kHelp || c == 'h' || (c == '?' && optopt == '?')) {
      wants_help_ = true;
      return {};
    }
    if (c == '?' && ignore_unknown_ && optopt < kHelp) continue;
    // getopt_long has just gone past the option that it refuses.
    if (c == '?' || c == ':') return tl::unexpected(Refuse(c, argv[std::max(optind - 1, 1)]));
    Option* const option =
        c >= kFirstLong ? &options_[static_cast<size_t>(c - kFirstLong)]
                        : &*std::find_if(options_.begin(), options_.end(),
                                         [c](const Option& o) { return o.short_name_ == c; });
    if (auto set = Set(option, optarg); !set) return set;
  }
  const std::vector<std::string> rest(argv.begin() + optind, argv.begin() + argc);
  if (rest.size() > most_arguments_ && !ignore_unknown_)
    return tl::unexpected(Misuse(
        fmt::format("too many command-line arguments (first is \"{}\")", rest[most_arguments_])));
  if (arguments_ != nullptr) *arguments_ = rest;
  return CheckTogether();
}

std::string Options::Help() const {
  std::string out = WrapParagraphs(introduction_) +
                    fmt::format("\nUsage:\n  neon-redo {} {}\n", command_, usage_);
  out += "\nOptions:\n";
  const std::string help = HelpEntry("-?, --help", "show this help, then exit");
  bool in_first_group = true;
  for (const Option& option : options_) {
    if (!option.heading_.empty()) {
      if (std::exchange(in_first_group, false)) out += help;
      out += fmt::format("\n{}:\n", option.heading_);
    }
    out += HelpEntry(option.spec_, option.help_);
  }
  if (in_first_group) out += help;
  if (!notes_.empty()) out += "\n" + WrapParagraphs(notes_);
  return out;
}

}  // namespace neon_redo::cli
