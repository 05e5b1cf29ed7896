// What neon-redo verify prints.
#ifndef NEON_REDO_CLI_VERIFY_REPORT_H_
#define NEON_REDO_CLI_VERIFY_REPORT_H_

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "neon_redo/native.h"
#include "neon_redo/verify.h"

namespace neon_redo::cli {

// What was asked for.
struct VerifyReport {
  Engine engine;
  int jobs;
  bool images;  // compared with images in WAL
  bool compares() const { return !against.empty(); }
  bool compares_something() const { return images || compares(); }

  std::string input;                // the options that named it, for a shell
  bool quick = false;               // the backup was not read as a whole
  std::string against;              // the directory that pages were compared with; empty: none
  std::string until;                // the target of --until, as it was given; empty: none
  std::string ledger;               // the file of --ledger; empty: none
  std::vector<std::string> only{};  // pages and relations of --only; empty: all were looked at
};

// To stdout.
void PrintVerifyJson(const VerifyReport& report, const VerifyResult& result);
void PrintVerifyText(const VerifyReport& report, const VerifyResult& result);

// The object that PrintVerifyJson prints, with "mismatches" and "notes" empty; and the text with both. They
// are written one by one, since there may be many.
using TextSink = std::function<void(const std::string&)>;
nlohmann::ordered_json VerifyJson(const VerifyReport& report, const VerifyResult& result);
void WriteVerifyJson(const nlohmann::ordered_json& json, const VerifyResult& result,
                     const TextSink& write);

// The last line of PrintVerifyText: what was found, in whole sentences.
std::string VerdictText(const VerifyReport& report, const VerifyResult& result);

// As --engine takes it.
const char* EngineName(Engine engine);

}  // namespace neon_redo::cli

#endif  // NEON_REDO_CLI_VERIFY_REPORT_H_
