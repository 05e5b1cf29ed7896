// libpq resolves host names with getaddrinfo, which takes as long as the resolver likes and cannot
// be ended. So the handshake runs on a thread of its own. Who waits for it can leave: then the
// thread ends at its next wait, or behind getaddrinfo, and closes what it has made.
#include "cpp_core/wal_client/handshake.h"

#include <libpq-fe.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <thread>

#include "cpp_core/base/deadline.h"

namespace neon_redo {

namespace {

using Clock = std::chrono::steady_clock;

struct Attempt {
  ConnectParameters parameters;
  CancelSignal abandoned;
  CancelSignal done;
  PgConn connection;  // the thread's, until done
  bool of_a_stranger = false;
};

// Whether the peer at the other end of a Unix socket is this user or root.
bool PeerIsOwn(int socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && size == sizeof(peer) &&
         (peer.uid == geteuid() || peer.uid == 0);
}

// Until the socket is ready. False: abandoned.
bool WaitForSocket(const Attempt& attempt, short events) {
  for (;;) {
    std::array<pollfd, 2> fds{
        {{PQsocket(attempt.connection.get()), events, 0}, {attempt.abandoned.fd(), POLLIN, 0}}};
    const int n = poll(fds.data(), fds.size(), -1);
    if (n < 0 && errno == EINTR) continue;
    return n > 0 && !fds[1].revents;
  }
}

void Shake(Attempt* attempt) {
  std::vector<const char*> keywords;
  std::vector<const char*> values;
  for (size_t i = 0; i < attempt->parameters.keywords.size(); i++) {
    keywords.push_back(attempt->parameters.keywords[i].c_str());
    values.push_back(attempt->parameters.values[i].c_str());
  }
  keywords.push_back(nullptr);
  values.push_back(nullptr);
  attempt->connection.reset(PQconnectStartParams(keywords.data(), values.data(), 0));
  PGconn* handle = attempt->connection.get();
  if (!handle || PQstatus(handle) == CONNECTION_BAD) return;
  PQsetErrorVerbosity(handle, PQERRORS_VERBOSE);
  PQsetNoticeReceiver(
      handle, [](void*, const PGresult*) {}, nullptr);
  // The first step is to wait until the socket can be written (documentation of PQconnectPoll).
  // Nothing has been sent before it.
  if (attempt->parameters.own_server) {
    if (!WaitForSocket(*attempt, POLLOUT)) return;
    attempt->of_a_stranger = !PeerIsOwn(PQsocket(handle));
    if (attempt->of_a_stranger) return;
  }
  for (auto step = PGRES_POLLING_WRITING;
       step == PGRES_POLLING_READING || step == PGRES_POLLING_WRITING; step = PQconnectPoll(handle))
    if (!WaitForSocket(*attempt, step == PGRES_POLLING_READING ? POLLIN : POLLOUT)) return;
}

}  // namespace

void PgConnDeleter::operator()(pg_conn* connection) const { PQfinish(connection); }

void ConnectParameters::Set(std::string keyword, std::string value) {
  const auto at = std::find(keywords.begin(), keywords.end(), keyword);
  if (at != keywords.end()) {
    values[static_cast<size_t>(at - keywords.begin())] = std::move(value);
    return;
  }
  keywords.push_back(std::move(keyword));
  values.push_back(std::move(value));
}

bool ConnectParameters::Has(const std::string& keyword) const {
  return std::find(keywords.begin(), keywords.end(), keyword) != keywords.end();
}

Result<PgConn> ConnectToServer(ConnectParameters parameters, std::chrono::milliseconds timeout,
                               const CancelSignal& cancel) {
  const auto deadline = DeadlineAfter(timeout);
  const auto attempt = std::make_shared<Attempt>();
  attempt->parameters = std::move(parameters);
  std::thread thread;
  try {
    thread = std::thread([attempt] {
      Shake(attempt.get());
      attempt->done.Set();
    });
  } catch (const std::system_error& e) {
    return MakeError(ErrorCode::kIo, std::string("could not connect: no thread: ") + e.what());
  }
  for (;;) {
    std::array<pollfd, 2> fds{{{attempt->done.fd(), POLLIN, 0}, {cancel.fd(), POLLIN, 0}}};
    const int n = poll(fds.data(), fds.size(), PollTimeout(deadline));
    if (n > 0 && fds[0].revents) break;
    const bool cancelled = n > 0 && fds[1].revents;
    if (!cancelled && (n < 0 || Clock::now() < deadline)) continue;
    attempt->abandoned.Set();
    thread.detach();
    if (cancelled) return MakeError(ErrorCode::kCancelled, "cancelled");
    return MakeError(ErrorCode::kTimeout, "the server did not answer in time");
  }
  thread.join();
  if (attempt->of_a_stranger)
    return MakeError(ErrorCode::kInvalidArgument,
                     "the server on this socket is neither this user's nor root's");
  if (!attempt->connection) return MakeError(ErrorCode::kIo, "could not connect: out of memory");
  return std::move(attempt->connection);
}

}  // namespace neon_redo
