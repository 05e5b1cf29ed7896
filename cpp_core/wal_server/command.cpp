// A scanner with the tokens of replication/repl_scanner.l (keywords are in capitals; an identifier
// without quotes is folded to lower case), and one function for each command.
#include "cpp_core/wal_server/command.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>

namespace neon_redo {

namespace {

constexpr size_t kMaxIdentifier = 63;  // NAMEDATALEN - 1

bool IsIdentifierStart(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) || c == '_' || (c & 0x80);
}
bool IsIdentifierPart(char c) {
  return IsIdentifierStart(c) || std::isdigit(static_cast<unsigned char>(c)) || c == '$';
}

enum class TokenKind { kEnd, kWord, kQuotedName, kLiteral, kNumber, kLsn, kOther, kUnterminated };

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;  // without quotes
};

class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  Token Next() {
    const size_t blank = rest_.find_first_not_of(" \t\n\r\f");
    rest_.remove_prefix(blank == std::string_view::npos ? rest_.size() : blank);
    if (rest_.empty()) return {};
    const char c = rest_[0];
    if (c == '\'' || c == '"') return Quoted(c);
    if (const size_t n = LsnLength()) return Take(TokenKind::kLsn, n);
    if (std::isdigit(static_cast<unsigned char>(c)))
      return Take(TokenKind::kNumber,
                  Length([](char d) { return std::isdigit(static_cast<unsigned char>(d)) != 0; }));
    if (IsIdentifierStart(c)) return Take(TokenKind::kWord, Length(IsIdentifierPart));
    return Take(TokenKind::kOther, 1);
  }

 private:
  template <typename Predicate>
  size_t Length(Predicate is_part) const {
    size_t n = 0;
    while (n < rest_.size() && is_part(rest_[n])) n++;
    return n;
  }

  // Digits, a slash, digits; 0 when that is not what comes.
  size_t LsnLength() const {
    auto digits = [this](size_t at) {
      size_t n = 0;
      while (at + n < rest_.size() && std::isxdigit(static_cast<unsigned char>(rest_[at + n]))) n++;
      return n;
    };
    const size_t high = digits(0);
    if (high == 0 || high >= rest_.size() || rest_[high] != '/') return 0;
    const size_t low = digits(high + 1);
    return low == 0 ? 0 : high + 1 + low;
  }

  Token Take(TokenKind kind, size_t n) {
    Token token{kind, std::string(rest_.substr(0, n))};
    rest_.remove_prefix(n);
    return token;
  }

  Token Quoted(char quote) {
    Token token{quote == '"' ? TokenKind::kQuotedName : TokenKind::kLiteral, {}};
    for (size_t i = 1; i < rest_.size(); i++) {
      if (rest_[i] != quote) {
        token.text.push_back(rest_[i]);
      } else if (i + 1 < rest_.size() && rest_[i + 1] == quote) {
        token.text.push_back(quote);
        i++;
      } else {
        rest_.remove_prefix(i + 1);
        return token;
      }
    }
    rest_ = {};
    return {TokenKind::kUnterminated, {}};
  }

  std::string_view rest_;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : scanner_(text) { Advance(); }

  Result<ReplicationCommand> Parse() {
    ReplicationCommand out = command::Sql{};
    bool good = true;
    if (Keyword("IDENTIFY_SYSTEM")) {
      out = command::IdentifySystem{};
    } else if (Keyword("SHOW")) {
      good = Show(&out);
    } else if (Keyword("TIMELINE_HISTORY")) {
      command::TimelineHistory history{};
      good = Timeline(&history.timeline);
      out = history;
    } else if (Keyword("READ_REPLICATION_SLOT")) {
      command::ReadSlot read;
      good = DottedName(&read.slot);
      out = read;
    } else if (Keyword("CREATE_REPLICATION_SLOT")) {
      good = CreateSlot(&out);
    } else if (Keyword("DROP_REPLICATION_SLOT")) {
      command::DropSlot drop;
      good = Name(&drop.slot);
      drop.wait = Keyword("WAIT");
      out = drop;
    } else if (Keyword("START_REPLICATION")) {
      good = StartReplication(&out);
    } else if (Keyword("BASE_BACKUP")) {
      return ReplicationCommand(command::BaseBackup{});
    } else {
      return out;
    }
    if (std::holds_alternative<command::Logical>(out)) return out;
    if (good && token_.kind == TokenKind::kOther && token_.text == ";") Advance();
    if (!good || token_.kind != TokenKind::kEnd) return SyntaxError();
    return out;
  }

 private:
  void Advance() { token_ = scanner_.Next(); }

  tl::unexpected<Error> SyntaxError() const {
    if (!problem_.empty()) return MakeError(ErrorCode::kInvalidArgument, problem_);
    if (token_.kind == TokenKind::kUnterminated)
      return MakeError(ErrorCode::kInvalidArgument, "unterminated quoted string");
    return MakeError(ErrorCode::kInvalidArgument, "syntax error");
  }

  bool Keyword(const char* word) {
    if (token_.kind != TokenKind::kWord || token_.text != word) return false;
    Advance();
    return true;
  }

  bool Symbol(const char* symbol) {
    if (token_.kind != TokenKind::kOther || token_.text != symbol) return false;
    Advance();
    return true;
  }

  bool Name(std::string* out) {
    if (token_.kind != TokenKind::kWord && token_.kind != TokenKind::kQuotedName) return false;
    *out = token_.text;
    if (token_.kind == TokenKind::kWord) {
      for (char& c : *out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    if (out->size() > kMaxIdentifier) out->resize(kMaxIdentifier);
    Advance();
    return true;
  }

  bool DottedName(std::string* out) {
    if (!Name(out)) return false;
    while (Symbol(".")) {
      std::string part;
      if (!Name(&part)) return false;
      *out += "." + part;
    }
    return true;
  }

  bool Timeline(uint32_t* out) {
    if (token_.kind != TokenKind::kNumber) return false;
    const char* end = token_.text.data() + token_.text.size();
    const auto [stop, error] = std::from_chars(token_.text.data(), end, *out);
    if (error != std::errc{} || stop != end || *out == 0) {
      problem_ = fmt::format("invalid timeline {}", token_.text);
      return false;
    }
    Advance();
    return true;
  }

  bool Show(ReplicationCommand* out) {
    command::Show show;
    if (!DottedName(&show.name)) return false;
    *out = show;
    return true;
  }

  bool CreateSlot(ReplicationCommand* out) {
    command::CreateSlot create;
    if (!Name(&create.slot)) return false;
    create.temporary = Keyword("TEMPORARY");
    if (Keyword("LOGICAL")) {
      *out = command::Logical{};
      return true;
    }
    if (!Keyword("PHYSICAL")) return false;
    if (Symbol("(")) {
      do {
        std::string option;
        if (!Name(&option)) return false;
        std::string value = "true";
        if (token_.kind == TokenKind::kLiteral || token_.kind == TokenKind::kNumber ||
            token_.kind == TokenKind::kWord) {
          value = token_.text;
          Advance();
        }
        if (option != "reserve_wal") {
          problem_ = fmt::format("unrecognized option: {}", option);
          return false;
        }
        create.reserve_wal = value == "true" || value == "on" || value == "1";
      } while (Symbol(","));
      if (!Symbol(")")) return false;
    } else {
      create.reserve_wal = Keyword("RESERVE_WAL");
    }
    *out = create;
    return true;
  }

  bool StartReplication(ReplicationCommand* out) {
    command::StartPhysical start;
    if (Keyword("SLOT")) {
      start.slot.emplace();
      if (!Name(&*start.slot)) return false;
      if (Keyword("LOGICAL")) {
        *out = command::Logical{};
        return true;
      }
    }
    Keyword("PHYSICAL");
    if (token_.kind != TokenKind::kLsn) return false;
    const auto lsn = Lsn::Parse(token_.text);
    if (!lsn) {
      problem_ = "invalid streaming start location";
      return false;
    }
    start.start = *lsn;
    Advance();
    if (Keyword("TIMELINE") && !Timeline(&start.timeline)) return false;
    *out = start;
    return true;
  }

  Scanner scanner_;
  Token token_;
  std::string problem_;
};

}  // namespace

Result<ReplicationCommand> ParseReplicationCommand(std::string_view text) {
  return Parser(text.substr(0, text.find('\0'))).Parse();
}

}  // namespace neon_redo
