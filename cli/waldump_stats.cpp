#include "cli/waldump_stats.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

#include "cli/foreign_text.h"
#include "cpp_core/describe/lsn_text.h"
#include "cpp_core/pg/rmgr.h"
#include "neon_redo/describe.h"

namespace neon_redo::cli {

namespace {

std::string OperationText(const pg::Version& version, uint8_t rmid, uint8_t info) {
  const char* name = OperationName(version, rmid, info);
  return name ? name : fmt::format("UNKNOWN ({:x})", info & kInfoRmgrMask);
}

double Percent(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

// Calls row(name, counts) for each resource manager, or each operation that occurs.
template <typename Row>
void ForEachRow(const WalStats& stats, bool by_operation, const pg::Version& version, Row row) {
  for (int id = 0; id < 256; id++) {
    const auto rmid = static_cast<uint8_t>(id);
    if (!RmgrIsValid(rmid)) continue;
    const std::string name = RmgrDisplayName(rmid);
    if (!by_operation) {
      const WalCounts counts = stats.OfRmgr(rmid);
      if (rmid <= kMaxBuiltinRmgr || counts.records > 0) row(name, counts);
      continue;
    }
    for (int operation = 0; operation < 16; operation++) {
      const WalCounts& counts = stats.Of(rmid, operation);
      if (counts.records == 0) continue;
      row(name + "/" + OperationText(version, rmid, static_cast<uint8_t>(operation << 4)), counts);
    }
  }
}

}  // namespace

void PrintStatsTable(const WalStats& stats, bool by_operation, const pg::Version& version) {
  const WalCounts total = stats.Total();
  if (total.records == 0) return;
  const uint64_t total_bytes = total.record_bytes + total.image_bytes;
  fmt::print("WAL statistics between {} and {}:\n", LsnText(version, stats.first_lsn()),
             LsnText(version, stats.end_lsn()));
  fmt::print("{:<27} {:>20} {:>8} {:>20} {:>8} {:>20} {:>8} {:>20} {:>8}\n", "Type", "N", "(%)",
             "Record size", "(%)", "FPI size", "(%)", "Combined size", "(%)");
  fmt::print("{:<27} {:>20} {:>8} {:>20} {:>8} {:>20} {:>8} {:>20} {:>8}\n", "----", "-", "---",
             "-----------", "---", "--------", "---", "-------------", "---");
  ForEachRow(stats, by_operation, version, [&](const std::string& name, const WalCounts& c) {
    const uint64_t bytes = c.record_bytes + c.image_bytes;
    fmt::print("{:<27} {:>20} ({:6.2f}) {:>20} ({:6.2f}) {:>20} ({:6.2f}) {:>20} ({:6.2f})\n", name,
               c.records, Percent(c.records, total.records), c.record_bytes,
               Percent(c.record_bytes, total.record_bytes), c.image_bytes,
               Percent(c.image_bytes, total.image_bytes), bytes, Percent(bytes, total_bytes));
  });
  fmt::print("{:<27} {:>20} {:>8} {:>20} {:>8} {:>20} {:>8} {:>20}\n", "", "--------", "",
             "--------", "", "--------", "", "--------");
  fmt::print("{:<27} {:>20} {:<9}{:>20} {:<9}{:>20} {:<9}{:>20} {:<6}\n", "Total", total.records,
             "", total.record_bytes,
             fmt::format("[{:.2f}%]", Percent(total.record_bytes, total_bytes)), total.image_bytes,
             fmt::format("[{:.2f}%]", Percent(total.image_bytes, total_bytes)), total_bytes,
             "[100%]");
}

void PrintStatsJson(const WalStats& stats, bool by_operation, const WalReader& reader,
                    const std::optional<Error>& error) {
  auto counts_json = [](const WalCounts& c) {
    return nlohmann::ordered_json{
        {"records", c.records}, {"record_bytes", c.record_bytes}, {"image_bytes", c.image_bytes}};
  };
  const WalCounts total = stats.Total();
  nlohmann::ordered_json out = {
      {"system_identifier", reader.system_identifier()},
      {"segment_size", reader.segment_size()},
      {"first_lsn", total.records ? nlohmann::ordered_json(stats.first_lsn().ToString()) : nullptr},
      {"end_lsn", reader.end_of_wal().ToString()},
      {"end_reason", reader.end_reason()},
      {"total", counts_json(total)},
      {"types", nlohmann::ordered_json::object()},
  };
  const auto add = [&](const std::string& name, const WalCounts& c) {
    if (c.records > 0) out["types"][name] = counts_json(c);
  };
  ForEachRow(stats, by_operation, reader.version(), add);
  if (error) out["error"] = error->message;
  fmt::print("{}\n", JsonText(out));
}

}  // namespace neon_redo::cli
