#include "cpp_core/redo/worker/worker_session.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>
#include <vector>

#include "cpp_core/base/try.h"
#include "cpp_core/redo/worker/out_queue.h"
#include "cpp_core/redo/worker/request_frames.h"
#include "cpp_core/redo/worker/worker_end.h"

namespace neon_redo {

namespace {

using Turn = PipeLoop::Turn;
using std::chrono::milliseconds;

// How long a worker that closed its output, or was asked to end, may take to end.
constexpr milliseconds kGrace{500};

constexpr const char* kSurplus = "more bytes than were asked for";

// What to run: the caller's own command or program, or the server with its home.
struct Plan {
  ChildProgram program;
  std::optional<WorkerHome> home;
  SandboxLayers layers;
};

Result<Plan> PlanServer(const WorkerOptions& options) {
  WorkerServer server;
  server.bindir = options.bindir;
  server.version = options.version;
  server.module = options.module;
  server.sandbox = options.sandbox;
  server.landlock = options.landlock;
  server.namespaces = options.namespaces;
  server.memory_limit_mb = options.memory_limit_mb;
  Plan plan;
  RETURN_IF_ERROR(ResolveServer(&server));
  plan.layers = LayersOf(server);
  if (options.sandbox && options.landlock.value_or(false) && !plan.layers.landlock)
    return MakeError(ErrorCode::kUnsupported, "this kernel has no Landlock (Linux 5.13 and later)");
  plan.program.path = WorkerProgram(server);
  ASSIGN_OR_RETURN(plan.program.user, WorkerUser(options.user));
  HomeOwner owner{geteuid(), getegid()};
  if (plan.program.user) owner = {plan.program.user->uid, plan.program.user->gid};
  ASSIGN_OR_RETURN(WorkerHome home, WorkerHome::Create(owner, *server.version));
  plan.home.emplace(std::move(home));
  plan.program.arguments = WorkerArguments(server, plan.program.path, plan.home->path());
  plan.program.environment = WorkerEnvironment(server, plan.program.path);
  return plan;
}

Result<Plan> PlanWorker(const WorkerOptions& options) {
  if (!options.command.empty())
    return Plan{{"/bin/sh", {"sh", "-c", options.command}, {}, {}}, {}, {}};
  if (!options.program.empty()) return Plan{{options.program[0], options.program, {}, {}}, {}, {}};
  return PlanServer(options);
}

}  // namespace

Result<WorkerSession> WorkerSession::Launch(const WorkerOptions& options) {
  ASSIGN_OR_RETURN(Plan plan, PlanWorker(options));
  ASSIGN_OR_RETURN(ChildProcess child, ChildProcess::Start(plan.program));
  return WorkerSession(std::move(child), std::move(plan.home), plan.layers);
}

std::optional<WorkerFailure> WorkerSession::Greet(const WorkerOptions& options,
                                                  const std::function<Clock::duration()>& pause) {
  const Clock::time_point deadline = Clock::now() + options.timeout;
  OutQueue ping;
  QueuePing(&ping);
  bool sent = pipe_.Send(&ping);
  std::vector<uint8_t> answer(kBlockSize);
  size_t have = 0;
  while (have < kBlockSize) {
    const Clock::time_point until = pause ? std::min(deadline, Clock::now() + pause()) : deadline;
    size_t received = 0;
    const Turn turn = pipe_.Wait(!sent, std::span<uint8_t>(answer).subspan(have), until, &received);
    have += received;
    if (!sent) sent = pipe_.Send(&ping);
    if (turn == Turn::kProgress || (turn == Turn::kTimeout && Clock::now() < deadline)) continue;
    return Fail(turn, "it", have > 0, options.timeout, kSurplus);
  }
  if (std::any_of(answer.begin(), answer.end(), [](uint8_t byte) { return byte != 0; }))
    return Fail(Turn::kSurplus, "it", false, options.timeout, "no zeroes in answer to a ping");
  pipe_.ForgetMessages();
  home_.reset();
  return std::nullopt;
}

WorkerFailure WorkerSession::Fail(Turn turn, const std::string& name, bool amid_answer,
                                  milliseconds waited, const char* sent) {
  WorkerFailure failure{ErrorCode::kWorker, "", {}};
  const Clock::time_point patience = Clock::now() + kGrace;
  if (turn == Turn::kClosed) {
    pipe_.DrainError(patience);
    failure.exit = child_.Finish(
        std::max(std::chrono::ceil<milliseconds>(patience - Clock::now()), milliseconds(0)));
    failure.what =
        fmt::format("{} ended {} ({})", name, amid_answer ? "amid its answer" : "without an answer",
                    DescribeEnd(failure.exit, pipe_.messages()));
  } else {
    child_.Finish(milliseconds(0));
    pipe_.DrainError(patience);
    if (turn == Turn::kTimeout) {
      failure.code = ErrorCode::kTimeout;
      failure.what = fmt::format("no {} from {} within {} ms; it was killed",
                                 amid_answer ? "whole answer" : "answer", name, waited.count());
    } else {
      failure.what = fmt::format("{} sent {}; it was killed", name, sent);
    }
  }
  failure.what += DescribeMessages(pipe_.messages());
  return failure;
}

void WorkerSession::End() {
  child_.CloseInput();
  child_.Finish(kGrace);
}

Status StartSession(const WorkerOptions& options, const KeepSession& keep,
                    const std::function<WorkerSession::Clock::duration()>& pause) {
  const auto deadline = WorkerSession::Clock::now() + options.timeout;
  for (;;) {
    ASSIGN_OR_RETURN(WorkerSession launched, WorkerSession::Launch(options));
    WorkerSession* const session = keep(std::move(launched));
    const std::optional<WorkerFailure> failure = session->Greet(options, pause);
    if (!failure) return {};
    const bool killed = failure->exit.signal == SIGKILL;
    if (!killed || WorkerSession::Clock::now() >= deadline)
      return MakeError(failure->code,
                       fmt::format("could not start a redo worker: {}", failure->what));
  }
}

}  // namespace neon_redo
