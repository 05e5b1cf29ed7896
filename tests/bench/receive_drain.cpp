// receive_drain bare|receiver START END: takes WAL from a server and drops it, by a bare loop over
// PQgetCopyData or by WalReceiver. The connection comes from libpq's environment.
#include <libpq-fe.h>
#include <poll.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "neon_redo/bytes.h"
#include "neon_redo/receiver.h"

namespace {

using neon_redo::Lsn;

int Fail(const std::string& what) {
  std::fprintf(stderr, "receive_drain: %s\n", what.c_str());
  return 2;
}

// As pg_receivewal's CopyStreamReceive: take what is there, else wait and read.
int Bare(const std::string& start, Lsn end) {
  PGconn* conn = PQconnectdb("replication=true");
  if (PQstatus(conn) != CONNECTION_OK) return Fail(PQerrorMessage(conn));
  PGresult* result = PQexec(conn, ("START_REPLICATION " + start).c_str());
  if (PQresultStatus(result) != PGRES_COPY_BOTH) return Fail(PQerrorMessage(conn));
  PQclear(result);
  for (Lsn at; at < end;) {
    char* buffer = nullptr;
    const int length = PQgetCopyData(conn, &buffer, 1);
    if (length < 0) return Fail(PQerrorMessage(conn));
    if (length == 0) {
      pollfd fd{PQsocket(conn), POLLIN, 0};
      poll(&fd, 1, -1);
      if (!PQconsumeInput(conn)) return Fail(PQerrorMessage(conn));
      continue;
    }
    if (buffer[0] == 'w') at = Lsn(neon_redo::LoadBe64(buffer + 1)) + (length - 25);
    PQfreemem(buffer);
  }
  PQfinish(conn);
  return 0;
}

int Receiver(Lsn start, Lsn end) {
  const neon_redo::CancelSignal cancel;
  neon_redo::WalReceiver receiver({}, cancel);
  auto status = receiver.Connect();
  if (status) status = receiver.StartPhysical(std::nullopt, start, 0);
  if (!status) return Fail(status.error().message);
  neon_redo::MessageBatch batch;
  for (Lsn at; at < end;) {
    const auto state = receiver.Receive(&batch, std::chrono::seconds(10));
    if (!state) return Fail(state.error().message);
    for (const auto& message : batch.messages())
      if (const auto* wal = std::get_if<neon_redo::XLogData>(&message)) at = wal->end();
    receiver.SetPositions({at, at, Lsn()});
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return Fail("usage: receive_drain bare|receiver START END");
  const auto start = Lsn::Parse(argv[2]);
  const auto end = Lsn::Parse(argv[3]);
  if (!start || !end) return Fail("START and END are LSNs");
  return std::string(argv[1]) == "bare" ? Bare(argv[2], *end) : Receiver(*start, *end);
}
