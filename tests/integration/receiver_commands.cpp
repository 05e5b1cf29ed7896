// Runs WalReceiver's commands on a real server for test_receiver_commands.py, in a row: each prints
// a line of JSON, then waits for a line on standard input, so that the test can look at the server
// meanwhile. The connection comes from libpq's environment. The test holds the expectations.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "neon_redo/receiver.h"

namespace {

using namespace neon_redo;
using nlohmann::json;

// Prints a result or an error, and waits to be told to go on.
void Say(const char* step, json line) {
  line["step"] = step;
  std::cout << line.dump() << std::endl;
  std::string go_on;
  std::getline(std::cin, go_on);
}

template <typename T, typename F>
void Say(const char* step, const WalReceiver& receiver, const Result<T>& result, F to_json) {
  if (result) return Say(step, to_json(*result));
  const ServerError& said = receiver.server_error();
  Say(step, {{"error", ErrorCodeName(result.error().code)},
             {"message", result.error().message},
             {"sqlstate", said.sqlstate},
             {"said", said.message},
             {"hint", said.hint}});
}

json ToJson(const CreatedSlot& slot) {
  return {{"name", slot.name},
          {"consistent_point", slot.consistent_point.ToString()},
          {"snapshot", slot.snapshot}};
}

json ToJson(const std::optional<SlotPosition>& slot) {
  if (!slot) return {{"slot", nullptr}};
  return {{"restart", slot->restart.ToString()}, {"timeline", slot->timeline}};
}

// Receives for a while: the first WAL, and the last keepalive.
json Receive(WalReceiver* receiver) {
  json out;
  MessageBatch batch;
  for (int i = 0; i < 20 && !out.contains("error") && !out.contains("start"); i++) {
    const auto state = receiver->Receive(&batch, std::chrono::milliseconds(500));
    if (!state) out["error"] = state.error().message;
    for (const ServerMessage& message : batch.messages()) {
      if (const auto* wal = std::get_if<XLogData>(&message); wal && !out.contains("start")) {
        out["start"] = wal->start.ToString();
        out["lag"] = wal->byte_lag();
        out["age"] = std::chrono::duration<double>(ReplicationNow() - wal->sent).count();
      }
    }
  }
  return out;
}

void Physical() {
  const CancelSignal cancel;
  WalReceiver receiver({}, cancel);
  if (const Status connected = receiver.Connect(); !connected) {
    return Say("connect", {{"error", connected.error().message}});
  }
  const auto said = [&](const char* step, const auto& result) {
    Say(step, receiver, result, [](const auto& value) { return ToJson(value); });
  };
  const auto server = receiver.IdentifySystem();
  Say("identify_system", receiver, server, [](const SystemIdentity& s) {
    return json{{"system_identifier", std::to_string(s.system_identifier)},
                {"timeline", s.timeline},
                {"flushed", s.flushed.ToString()}};
  });
  SlotSpec spec;
  spec.name = "lazy";
  spec.reserve_wal = false;
  said("create without WAL", receiver.CreateSlot(spec));
  said("read without WAL", receiver.ReadSlot("lazy"));
  spec.name = "eager";
  spec.reserve_wal = true;
  said("create", receiver.CreateSlot(spec));
  said("create again", receiver.CreateSlot(spec));
  said("read", receiver.ReadSlot("eager"));
  spec.name = "passing";
  spec.temporary = true;
  said("create temporary", receiver.CreateSlot(spec));
  said("read none", receiver.ReadSlot("none"));
  Say("history of timeline 9", receiver, receiver.ReadTimelineHistory(9),
      [](const TimelineHistory& h) {
        return json{{"file_name", h.file_name}};
      });

  const auto position = receiver.ReadSlot("eager");
  const Status started =
      receiver.StartPhysical("eager", position && *position ? (*position)->restart : Lsn(), 0);
  if (!started) return Say("start", {{"error", started.error().message}});
  Say("stream", Receive(&receiver));
  const Status fed = receiver.SendFeedback({ReplicationNow(), 3, 0, 0, 0});
  Say("feedback", {{"sent", fed.has_value()}});
  const Status ended = receiver.End();
  Say("end", {{"ended", ended.has_value()}});
  for (const char* name : {"eager", "lazy", "none"}) {
    const Status dropped = receiver.DropSlot(name, false);
    Say("drop", {{"slot", name},
                 {"dropped", dropped.has_value()},
                 {"error", dropped ? "" : ErrorCodeName(dropped.error().code)}});
  }
}

void Logical() {
  ReceiverOptions options;
  options.connect.logical = true;
  const CancelSignal cancel;
  WalReceiver receiver(options, cancel);
  if (const Status connected = receiver.Connect(); !connected)
    return Say("connect", {{"error", connected.error().message}});
  const auto said = [&](const char* step, const auto& result) {
    Say(step, receiver, result, [](const auto& value) { return ToJson(value); });
  };
  SlotSpec spec;
  spec.name = "changes";
  spec.plugin = "pgoutput";
  spec.two_phase = true;
  spec.snapshot = SlotSpec::Snapshot::kExport;
  said("create logical", receiver.CreateSlot(spec));
  said("read logical", receiver.ReadSlot("changes"));
  spec.plugin = "no_such_plugin";
  spec.name = "other";
  said("create of no plug-in", receiver.CreateSlot(spec));
  const Status dropped = receiver.DropSlot("changes", true);
  Say("drop", {{"slot", "changes"}, {"dropped", dropped.has_value()}});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "logical") {
    Logical();
  } else {
    Physical();
  }
  return 0;
}
