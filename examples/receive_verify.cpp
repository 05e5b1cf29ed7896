// Receives WAL from a server into a directory up to an LSN, then verifies it: each record is
// applied to the page image before it, and the page compared with the image that the record has.
//
//   g++ -std=c++20 receive_verify.cpp -o receive_verify $(pkg-config --cflags --libs neon_redo_net)
//   ./receive_verify CONNINFO DIRECTORY UNTIL_LSN [NEON_SO]
//
// The server needs wal_consistency_checking = 'all'. Exit status: 0 all images are equal, 1 some
// differ, 2 anything else.
#include <neon_redo/cancel.h>
#include <neon_redo/receiver.h>
#include <neon_redo/verify.h>

#include <csignal>
#include <cstdio>

using namespace neon_redo;

namespace {

const CancelSignal stop;

int Fail(const Error& error) {
  std::fprintf(stderr, "error: %s\n", error.message.c_str());
  return 2;
}

// Until `until` is on disk, or SIGINT.
Status Receive(const char* conninfo, const char* directory, Lsn until) {
  ArchiveOptions options;
  options.stream.receiver.connect.conninfo = conninfo;
  options.stream.on_event = [](const std::string& event) {
    std::fprintf(stderr, "%s\n", event.c_str());
  };
  options.directory = directory;
  options.until = until;
  auto archive = WalArchive::Open(std::move(options), stop);
  if (!archive) return tl::unexpected(archive.error());
  for (;;) {
    const Result<bool> done = (*archive)->Step(std::chrono::milliseconds(500));
    if (!done) return tl::unexpected(done.error());
    if (*done) break;
  }
  std::printf("received %s to %s\n", (*archive)->start().ToString().c_str(),
              (*archive)->written().ToString().c_str());
  return (*archive)->Close();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  std::signal(SIGINT, [](int) { stop.Set(); });
  const Result<Lsn> until = Lsn::Parse(argv[3]);
  if (!until) return Fail(until.error());
  if (const Status received = Receive(argv[1], argv[2], *until); !received)
    return Fail(received.error());

  VerifyOptions options;
  options.wal = {argv[2]};
  if (argc > 4) options.worker.module = argv[4];
  const Result<VerifyResult> result = VerifyImages(options);
  if (!result) return Fail(result.error());
  std::printf("%llu records, %llu images compared, %zu different\n",
              static_cast<unsigned long long>(result->records),
              static_cast<unsigned long long>(result->images_compared), result->mismatches.size());
  for (const Mismatch& mismatch : result->mismatches)
    std::printf("%s: %s\n", mismatch.lsn.ToString().c_str(), mismatch.problem.c_str());
  return result->different == 0 ? 0 : 1;
}
