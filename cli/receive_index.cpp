#include "cli/receive_index.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/foreign_text.h"

namespace neon_redo::cli {

using std::chrono::milliseconds;

namespace {

constexpr int kNice = 10;
constexpr size_t kMostOutput = 64 << 10;  // that is kept of each stream
constexpr int kRest = 4;
constexpr milliseconds kLeastRest{200}, kMostRest{60'000};

// False: the other end is closed.
bool Drain(int fd, std::string* out) {
  char buffer[4096];
  for (;;) {
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n == 0) return false;
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    const size_t room = kMostOutput - std::min(kMostOutput, out->size());
    out->append(buffer, std::min(static_cast<size_t>(n), room));
  }
}

std::string LastLine(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  return std::string(text.substr(text.rfind('\n') + 1));
}

// What `neon-redo index --format=json` says; an empty object if it says nothing.
nlohmann::json ParseReport(const std::string& output) {
  auto report = nlohmann::json::parse(output, nullptr, false);
  return report.is_object() ? report : nlohmann::json::object();
}

std::string TextOf(const nlohmann::json& report, const char* member) {
  const auto found = report.find(member);
  return found != report.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

void ReceiveIndex::Complete(Lsn end, Clock::time_point now) {
  if (!first_.valid()) first_ = end;
  complete_ = std::max(complete_, end);
  if (!candidate_) candidate_ = Candidate{complete_, now};
}

void ReceiveIndex::Step(Clock::time_point now) {
  if (candidate_ && now - candidate_->since >= options_.settle) {
    wanted_ = candidate_->end;
    candidate_.reset();
    if (complete_ > wanted_) candidate_ = Candidate{complete_, now};
  }
  if (child_ && !ReadOutput() && child_->HasEnded()) Finish(now);
  if (!child_ && wanted_ > std::max(indexed_, from_) && now >= next_) Start(now);
}

void ReceiveIndex::Start(Clock::time_point now) {
  std::vector<std::string> arguments = {
      "neon-redo",        "index",    "--wal",         options_.wal, "--index",
      options_.directory, "--jobs=1", "--format=json", "--to",       wanted_.ToString()};
  if (from_.valid()) arguments.insert(arguments.end(), {"--from", from_.ToString()});
  if (options_.untested_versions) arguments.push_back("--untested-version");
  output_.clear();
  errors_.clear();
  began_ = now;
  auto child = ChildProcess::Start({options_.program, std::move(arguments), std::nullopt, {}});
  if (!child) return Fail(child.error().message, now);
  child_.emplace(std::move(*child));
  child_->CloseInput();
  static_cast<void>(setpriority(PRIO_PROCESS, static_cast<id_t>(child_->pid()), kNice));
}

// False: it has nothing more to say. It may still run, or be kept from ending by a file system.
bool ReceiveIndex::ReadOutput() {
  const bool says = Drain(child_->output(), &output_);
  return Drain(child_->error(), &errors_) || says;
}

void ReceiveIndex::Finish(Clock::time_point now) {
  const ChildExit ended = child_->Finish(milliseconds(0));
  child_.reset();
  const nlohmann::json report = ParseReport(output_);
  const auto end = Lsn::Parse(TextOf(report, "end_lsn"));
  const std::string damage = TextOf(report, "damage");
  if (ended.known && ended.signal == 0 && ended.status == 0 && end) {
    indexed_ = std::max({indexed_, wanted_, *end});
    from_ = end->valid() ? *end : wanted_;
    backoff_.Reset();
    SayFirstNotes();
    const auto rest = std::chrono::duration_cast<milliseconds>(kRest * (now - began_));
    next_ = now + std::clamp(rest, kLeastRest, kMostRest);
    return;
  }
  // What was there before may be damaged. What comes is indexed all the same.
  if (!damage.empty() && !from_.valid()) from_ = first_;
  const std::string last = LastLine(errors_);
  Fail(!damage.empty() ? damage : last.empty() ? ended.ToString() : last, now);
}

void ReceiveIndex::Fail(const std::string& why, Clock::time_point now) {
  static thread_local std::minstd_rand random{std::random_device{}()};
  failures_++;
  const milliseconds pause = backoff_.Next(std::uniform_real_distribution<>(0, 1)(random));
  next_ = now + pause;
  options_.say(fmt::format(
      "warning: the index in \"{}\" is not made up to {}: {}; next attempt in "
      "{:.0f} s",
      options_.directory, wanted_.ToString(), why, std::chrono::duration<double>(pause).count()));
}

// Those of later processes would mostly be the same.
void ReceiveIndex::SayFirstNotes() {
  if (std::exchange(has_said_notes_, true)) return;
  constexpr std::string_view kProgram = "neon-redo: ";
  std::string_view text = errors_;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.starts_with(kProgram)) line.remove_prefix(kProgram.size());
    if (!line.empty()) options_.say(PrintableLines(line));
  }
}

}  // namespace neon_redo::cli
