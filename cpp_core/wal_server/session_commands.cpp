// The replication commands but START_REPLICATION: each answers with one row, as the function of the
// same name in replication/walsender.c does.
#include <fmt/format.h>

#include "cpp_core/pg/wal_page.h"
#include "cpp_core/wal_server/session.h"

namespace neon_redo {

namespace {

// The largest unit that divides it, as SHOW prints it (ShowGUCOption in utils/misc/guc.c).
std::string FormatTime(std::chrono::milliseconds time) {
  const int64_t ms = time.count();
  if (ms == 0) return "0";
  if (ms % 60'000 == 0) return fmt::format("{}min", ms / 60'000);
  if (ms % 1000 == 0) return fmt::format("{}s", ms / 1000);
  return fmt::format("{}ms", ms);
}

std::string FormatSegmentSize(uint32_t size) {
  return size % (1u << 30) == 0 ? fmt::format("{}GB", size >> 30) : fmt::format("{}MB", size >> 20);
}

}  // namespace

// Clients take the major version from it: that of the server that wrote the WAL.
std::string Session::ServerVersion() const {
  return fmt::format("{}.0 (neon_redo {})", host_.source->version().major, NEON_REDO_VERSION);
}

void Session::HandleQuery(std::string_view text) {
  if (text.empty() || text.back() != '\0')
    return Fail(Severity::kFatal, {"08P01", "invalid string in message"});
  if (stopping_)
    return Refuse("55000", "cannot execute new commands while WAL sender is in stopping mode");
  const auto parsed = ParseReplicationCommand(text);
  if (!parsed) return Refuse("42601", parsed.error().message);
  std::visit([this](const auto& command) { Execute(command); }, *parsed);
}

void Session::Complete(std::string_view tag) {
  PutCommandComplete(output_.bytes(), tag);
  PutReadyForQuery(output_.bytes());
}

void Session::Refuse(std::string sqlstate, std::string message, std::string detail,
                     std::string hint) {
  Fail(Severity::kError,
       {std::move(sqlstate), std::move(message), std::move(detail), std::move(hint)});
}

void Session::RefuseWith(const Error& error) {
  const char* sqlstate = error.code == ErrorCode::kNotFound      ? "58P01"  // undefined_file
                         : error.code == ErrorCode::kCorrupt     ? "XX001"  // data_corrupted
                         : error.code == ErrorCode::kUnsupported ? "0A000"
                                                                 : "58030";  // io_error
  Refuse(sqlstate, error.message);
}

void Session::Execute(const command::IdentifySystem&) {
  PutResult(
      output_.bytes(),
      {{"systemid", ColumnType::kText},
       {"timeline", ColumnType::kInt4},
       {"xlogpos", ColumnType::kText},
       {"dbname", ColumnType::kText}},
      {std::to_string(host_.source->system_identifier()), std::to_string(host_.source->timeline()),
       host_.source->end().ToString(), std::nullopt});
  Complete("IDENTIFY_SYSTEM");
}

void Session::Execute(const command::Show& show) {
  std::string value;
  if (show.name == "wal_segment_size")
    value = FormatSegmentSize(host_.source->segment_size());
  else if (show.name == "wal_sender_timeout")
    value = FormatTime(host_.sender_timeout);
  else if (show.name == "data_directory_mode")
    value = "0700";
  else if (show.name == "server_version")
    value = ServerVersion();
  else if (show.name == "max_wal_senders")
    value = std::to_string(host_.max_connections);
  else if (show.name == "max_replication_slots")
    value = std::to_string(host_.max_replication_slots);
  else if (show.name == "wal_level")
    value = "replica";
  else if (show.name == "neon_redo.status" && peer_.local)
    value = host_.status();
  else
    return Refuse("42704", fmt::format("unrecognized configuration parameter \"{}\"", show.name));
  PutResult(output_.bytes(), {{show.name, ColumnType::kText}}, {value});
  Complete("SHOW");
}

void Session::Execute(const command::TimelineHistory& history) {
  const auto content = host_.source->ReadHistory(history.timeline);
  if (!content) return RefuseWith(content.error());
  PutResult(output_.bytes(), {{"filename", ColumnType::kText}, {"content", ColumnType::kText}},
            {FormatHistoryName(history.timeline), *content});
  Complete("TIMELINE_HISTORY");
}

void Session::Execute(const command::ReadSlot& read) {
  if (!MayUse(read.slot)) return;
  Row row(3);
  if (const Slot* slot = host_.slots->Find(read.slot)) {
    row[0] = "physical";
    if (slot->restart.valid()) {
      row[1] = slot->restart.ToString();
      row[2] = std::to_string(host_.source->TimelineOf(slot->restart));
    }
  }
  PutResult(output_.bytes(),
            {{"slot_type", ColumnType::kText},
             {"restart_lsn", ColumnType::kText},
             {"restart_tli", ColumnType::kInt8}},
            row);
  Complete("READ_REPLICATION_SLOT");
}

// False: the client has been told that its role may not.
bool Session::MayUse(const std::string& slot) {
  if (slot_rights_.Allow(slot)) return true;
  Refuse("42501", fmt::format("permission denied for replication slot \"{}\"", slot), {},
         "The server's users file says which slots a role may use.");
  return false;
}

// True: the command waits for a turn in which the slots may be written.
bool Session::WaitToWriteSlots(ReplicationCommand command) {
  if (host_.may_write_slots()) return false;
  waiting_ = std::move(command);
  waits_for_turn_ = true;
  turn_work_ = 0;
  return true;
}

void Session::Execute(const command::CreateSlot& create) {
  if (!MayUse(create.slot)) return;
  std::string sqlstate;
  const std::string problem = SlotNameProblem(create.slot, &sqlstate);
  if (!problem.empty())
    return Refuse(sqlstate, problem, {},
                  "Replication slot names may only contain lower case letters, numbers, and the "
                  "underscore character.");
  if (host_.slots->Find(create.slot))
    return Refuse("42710", fmt::format("replication slot \"{}\" already exists", create.slot));
  if (host_.slots->slots().size() >= host_.max_replication_slots)
    return Refuse("53400", "all replication slots are in use", {},
                  "Free one or increase max_replication_slots.");
  if (!create.temporary && WaitToWriteSlots(create)) return;
  Slot slot;
  if (create.reserve_wal) slot.restart = host_.source->end();
  slot.temporary = create.temporary;
  slot.active = create.temporary ? id_ : 0;
  if (const Status created = host_.slots->Create(create.slot, slot); !created)
    return RefuseWith(created.error());
  PutResult(output_.bytes(),
            {{"slot_name", ColumnType::kText},
             {"consistent_point", ColumnType::kText},
             {"snapshot_name", ColumnType::kText},
             {"output_plugin", ColumnType::kText}},
            {create.slot, "0/0", std::nullopt, std::nullopt});
  Complete("CREATE_REPLICATION_SLOT");
}

void Session::Execute(const command::DropSlot& drop) {
  if (!MayUse(drop.slot)) return;
  const Slot* slot = host_.slots->Find(drop.slot);
  if (!slot)
    return Refuse("42704", fmt::format("replication slot \"{}\" does not exist", drop.slot));
  if (slot->active != 0 && slot->active != id_ && drop.wait && !stopping_) {
    waiting_ = drop;  // until Tick finds it released
    return;
  }
  if (slot->active != 0 && slot->active != id_)
    return Refuse("55006", fmt::format("replication slot \"{}\" is active for PID {}", drop.slot,
                                       slot->active));
  if (!slot->temporary && WaitToWriteSlots(drop)) return;
  if (const Status dropped = host_.slots->Drop(drop.slot); !dropped)
    return RefuseWith(dropped.error());
  Complete("DROP_REPLICATION_SLOT");
}

void Session::Execute(const command::BaseBackup&) {
  Refuse("0A000", "this server has WAL only and cannot make a base backup", {},
         "Take the base backup from the PostgreSQL server whose WAL this is.");
}

void Session::Execute(const command::Logical&) {
  Refuse("0A000", "logical decoding is not supported by this server", {},
         "It streams WAL from files and has no catalogs.");
}

void Session::Execute(const command::Sql&) {
  Refuse("0A000", "cannot execute SQL commands in WAL sender for physical replication");
}

}  // namespace neon_redo
