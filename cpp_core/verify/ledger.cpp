// A magic text, the version of the format, that of the program, the length of the body, the body, and the
// SHA-256 of all before it. The checksum finds damage. It does not keep anybody from making a ledger up: for
// that the file must belong to this user or root, as a file with a secret does.
#include "cpp_core/verify/ledger.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "cpp_core/backup/checksum.h"
#include "cpp_core/base/directory.h"
#include "cpp_core/base/files.h"
#include "cpp_core/base/guarded_files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/verify/state_bytes.h"
#include "neon_redo/version.h"

namespace neon_redo {

namespace {

constexpr std::string_view kMagic = "neon_redo ledger\n";
// Goes up with each change of the format, and with each check that a run makes and those before did not: what
// those have proven was not checked so. The version of the program does not tell builds of it apart.
constexpr uint32_t kFormat = 2;
constexpr size_t kMaxLedger = size_t{4} << 30;
constexpr size_t kChecksumSize = 32;
// The least bytes of an item, for StateReader::GetCount.
constexpr size_t kIdentitySize = 40, kTextSize = 8;

Bytes BytesOf(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

Result<std::string> Sha256Of(std::string_view bytes) {
  ASSIGN_OR_RETURN(auto checksum, FileChecksum::Make(ChecksumKind::kSha256));
  RETURN_IF_ERROR(checksum.Add(BytesOf(bytes)));
  return checksum.Finish();
}

void AddFile(const LedgerFile& file, StateWriter* out) {
  out->Add(file.path);
  out->Add(file.identity.device);
  out->Add(file.identity.inode);
  out->Add(file.identity.size);
  out->Add(file.identity.modified);
  out->Add(file.identity.changed);
  out->Add(file.is_young);
}

LedgerFile GetFile(StateReader* in) {
  LedgerFile file;
  file.path = in->GetText();
  file.identity.device = in->Get<uint64_t>();
  file.identity.inode = in->Get<uint64_t>();
  file.identity.size = in->Get<uint64_t>();
  file.identity.modified = in->Get<int64_t>();
  file.identity.changed = in->Get<int64_t>();
  file.is_young = in->Get<bool>();
  return file;
}

void AddBackup(const Ledger& ledger, StateWriter* out) {
  out->Add(ledger.system_identifier);
  out->Add(ledger.start);
  out->Add(ledger.start_timeline);
  out->Add(ledger.label);
  out->Add(ledger.origin_hash);
  out->Add(ledger.layout_hash);
  out->AddCount(ledger.contents.size());
  for (const LedgerContent& content : ledger.contents) {
    out->Add(content.name);
    out->Add(content.size);
    out->Add(content.hash.has_value());
    out->Add(content.hash.value_or(0));
  }
  out->AddCount(ledger.stored.size());
  for (const LedgerStored& stored : ledger.stored) {
    AddFile(stored.file, out);
    out->AddCount(stored.contents.size());
    for (const uint32_t content : stored.contents) out->Add(content);
  }
}

void GetBackup(StateReader* in, Ledger* ledger) {
  ledger->system_identifier = in->Get<uint64_t>();
  ledger->start = in->GetLsn();
  ledger->start_timeline = in->Get<uint32_t>();
  ledger->label = in->GetText();
  ledger->origin_hash = in->Get<uint64_t>();
  ledger->layout_hash = in->Get<uint64_t>();
  for (size_t left = in->GetCount(kTextSize); left > 0 && in->ok(); left--) {
    LedgerContent& content = ledger->contents.emplace_back();
    content.name = in->GetText();
    content.size = in->Get<uint64_t>();
    const bool has_hash = in->Get<bool>();
    const auto hash = in->Get<uint64_t>();
    if (has_hash) content.hash = hash;
  }
  for (size_t left = in->GetCount(kIdentitySize); left > 0 && in->ok(); left--) {
    LedgerStored& stored = ledger->stored.emplace_back();
    stored.file = GetFile(in);
    for (size_t more = in->GetCount(sizeof(uint32_t)); more > 0 && in->ok(); more--) {
      stored.contents.push_back(in->Get<uint32_t>());
      if (stored.contents.back() >= ledger->contents.size()) in->Fail();
    }
  }
}

void AddWal(const Ledger& ledger, StateWriter* out) {
  out->Add(ledger.segment_size);
  out->Add(ledger.timeline);
  out->AddCount(ledger.segments.size());
  for (const LedgerSegment& segment : ledger.segments) {
    out->Add(segment.timeline);
    out->Add(segment.number);
    out->Add(segment.sum);
    out->AddCount(segment.files.size());
    for (const LedgerFile& file : segment.files) AddFile(file, out);
  }
  out->Add(ledger.redo);
  out->Add(ledger.end);
  out->Add(ledger.backup_end);
  out->Add(ledger.last_transaction.has_value());
  out->Add(ledger.last_transaction.value_or(0));
  out->Add(ledger.proven_at);
  out->Add(ledger.read_all_at);
}

void GetWal(StateReader* in, Ledger* ledger) {
  ledger->segment_size = in->Get<uint32_t>();
  ledger->timeline = in->Get<uint32_t>();
  constexpr size_t kSegmentSize = 28;
  for (size_t left = in->GetCount(kSegmentSize); left > 0 && in->ok(); left--) {
    LedgerSegment& segment = ledger->segments.emplace_back();
    segment.timeline = in->Get<uint32_t>();
    segment.number = in->Get<uint64_t>();
    segment.sum = in->Get<uint64_t>();
    for (size_t more = in->GetCount(kIdentitySize); more > 0 && in->ok(); more--)
      segment.files.push_back(GetFile(in));
  }
  ledger->redo = in->GetLsn();
  ledger->end = in->GetLsn();
  ledger->backup_end = in->GetLsn();
  const bool has_transaction = in->Get<bool>();
  const auto transaction = in->Get<int64_t>();
  if (has_transaction) ledger->last_transaction = transaction;
  ledger->proven_at = in->Get<int64_t>();
  ledger->read_all_at = in->Get<int64_t>();
}

// What the numbers must be for those who compute with them: one segment after another, from that of the
// start to that of the end.
bool IsPossible(const Ledger& ledger) {
  const uint64_t size = ledger.segment_size;
  if (size == 0 || (size & (size - 1)) != 0 || !ledger.start.valid() ||
      ledger.redo < ledger.start || ledger.end < ledger.redo || ledger.segments.empty())
    return false;
  for (size_t i = 0; i < ledger.segments.size(); i++)
    if (ledger.segments[i].number != ledger.start.value / size + i ||
        ledger.segments[i].files.empty())
      return false;
  return ledger.segments.back().number == (ledger.end.value - 1) / size;
}

tl::unexpected<Error> Damaged(const std::string& path, const std::string& how) {
  return MakeError(
      ErrorCode::kCorrupt,
      fmt::format("ledger \"{}\" is damaged: {}; remove it, or give --full: then all is "
                  "read, and a new ledger is written",
                  path, how));
}

tl::unexpected<Error> NoLedger(const std::string& path) {
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("\"{}\" is no ledger of neon-redo, and is not overwritten: give "
                               "another name",
                               path));
}

// Nobody's file has this name.
std::string TemporaryName(const std::string& name) { return "." + name + ".neon_redo.tmp"; }

}  // namespace

std::string LedgerBytes(const Ledger& ledger) {
  StateWriter body;
  AddBackup(ledger, &body);
  AddWal(ledger, &body);
  body.Add(ledger.state);
  StateWriter head;
  head.Add(kFormat);
  head.Add(std::string_view(LibraryVersion()));
  head.Add(body.bytes());
  return std::string(kMagic) + head.bytes();
}

Result<LedgerRead> ParseLedger(const std::string& bytes, const std::string& path) {
  if (bytes.empty()) return LedgerRead{{}, "there was no ledger yet"};
  if (!bytes.starts_with(kMagic.substr(0, bytes.size()))) return NoLedger(path);
  if (bytes.size() < kMagic.size() + kChecksumSize) return Damaged(path, "it is cut short");
  const std::string_view signed_part(bytes.data(), bytes.size() - kChecksumSize);
  ASSIGN_OR_RETURN(const std::string checksum, Sha256Of(signed_part));
  if (bytes.substr(signed_part.size()) != checksum)
    return Damaged(path, "its checksum does not fit its content");
  StateReader head(signed_part.substr(kMagic.size()));
  const auto format = head.Get<uint32_t>();
  const std::string version = head.GetText();
  if (!head.ok()) return Damaged(path, "it does not say which version wrote it");
  if (format != kFormat || version != LibraryVersion())
    return LedgerRead{
        {},
        fmt::format("the ledger is by neon-redo {} (format {}), which may have checked otherwise",
                    version, format)};
  const std::string content = head.GetText();
  StateReader body(content);
  Ledger ledger;
  GetBackup(&body, &ledger);
  GetWal(&body, &ledger);
  ledger.state = body.GetText();
  if (!head.is_done() || !body.is_done() || !IsPossible(ledger))
    return Damaged(path, "it says what cannot be");
  return LedgerRead{std::move(ledger), {}};
}

Result<LedgerRead> ReadLedger(const std::string& path) {
  const auto bytes = ReadSecretFile(path, "ledger", kMaxLedger);
  if (!bytes && bytes.error().code == ErrorCode::kNotFound)
    return LedgerRead{{}, "there was no ledger yet"};
  if (!bytes) return tl::unexpected(bytes.error());
  return ParseLedger(*bytes, path);
}

Status CheckLedgerPlace(const std::string& path) {
  const SplitPath split(path);
  ASSIGN_OR_RETURN(const Directory directory, Directory::Open(split.parent));
  const std::string temporary = TemporaryName(split.name);
  ASSIGN_OR_RETURN(FileDescriptor written, directory.CreateFile(temporary));
  RETURN_IF_ERROR(directory.Remove(temporary));
  const auto file = OpenRegularFile(path, Links::kRefuse);
  if (!file && file.error().code == ErrorCode::kNotFound) return {};
  if (!file) return tl::unexpected(file.error());
  uint8_t start[kMagic.size()];
  const ssize_t got = ReadFully(file->get(), start, sizeof(start), 0);
  if (got < 0) return FileError("read file", path);
  const std::string_view text(reinterpret_cast<const char*>(start), static_cast<size_t>(got));
  return kMagic.starts_with(text) ? Status() : NoLedger(path);
}

Status WriteLedger(const std::string& path, const Ledger& ledger) {
  std::string bytes = LedgerBytes(ledger);
  ASSIGN_OR_RETURN(const std::string checksum, Sha256Of(bytes));
  bytes += checksum;
  const SplitPath split(path);
  ASSIGN_OR_RETURN(const Directory directory, Directory::Open(split.parent));
  return directory.WriteFile(split.name, BytesOf(bytes), TemporaryName(split.name));
}

Status RemoveLedger(const std::string& path) {
  const SplitPath split(path);
  ASSIGN_OR_RETURN(const Directory directory, Directory::Open(split.parent));
  return directory.Remove(split.name);
}

}  // namespace neon_redo
