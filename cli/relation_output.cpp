#include "cli/relation_output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "cpp_core/base/files.h"
#include "cpp_core/base/try.h"
#include "cpp_core/pg/paths.h"
#include "neon_redo/block.h"

namespace neon_redo::cli {

namespace {

std::string SegmentName(const std::string& name, size_t number) {
  return number == 0 ? name : fmt::format("{}.{}", name, number);
}

std::string TemporaryName(const std::string& name) { return name + ".tmp"; }

}  // namespace

Result<std::unique_ptr<RelationOutput>> RelationOutput::Create(const std::string& path,
                                                               uint32_t blocks) {
  const SplitPath split(path);
  ASSIGN_OR_RETURN(auto directory, Directory::Open(split.parent));
  std::unique_ptr<RelationOutput> out(new RelationOutput(std::move(directory), split.name));
  RETURN_IF_ERROR(out->CreateFiles(blocks));
  return out;
}

Status RelationOutput::CheckName(const std::string& name) const {
  struct stat st;
  if (fstatat(directory_.fd(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0 || S_ISREG(st.st_mode))
    return {};
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("could not write file \"{}\": there is {}", directory_.PathOf(name),
                               FileKindName(st)));
}

Status RelationOutput::CreateFiles(uint32_t blocks) {
  const size_t count =
      std::max<size_t>(1, (size_t{blocks} + pg::kBlocksPerFile - 1) / pg::kBlocksPerFile);
  if (const std::string next = SegmentName(name_, count); directory_.Has(next))
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("file \"{}\" would be left beside a relation of {} blocks: remove it",
                    directory_.PathOf(next), blocks));
  for (size_t i = 0; i < count; i++) RETURN_IF_ERROR(CheckName(SegmentName(name_, i)));
  for (size_t i = 0; i < count; i++) {
    const std::string name = SegmentName(name_, i);
    auto file = directory_.CreateNewFile(TemporaryName(name));
    if (!file && file.error().code == ErrorCode::kInvalidArgument)
      return MakeError(ErrorCode::kInvalidArgument,
                       file.error().message +
                           ": another command writes it, or one was ended before it could remove "
                           "it; remove it, or give another --output");
    if (!file) return tl::unexpected(file.error());
    files_.push_back(std::move(*file));
    names_.push_back(directory_.PathOf(name));
  }
  return {};
}

RelationOutput::~RelationOutput() {
  for (size_t i = 0; i < files_.size(); i++)
    static_cast<void>(directory_.Remove(TemporaryName(SegmentName(name_, i))));
}

Status RelationOutput::Write(uint32_t block, Bytes pages) {
  const size_t number = block / pg::kBlocksPerFile;
  return WriteAll(files_[number].get(), pages, uint64_t{block % pg::kBlocksPerFile} * kBlockSize,
                  TemporaryName(names_[number]));
}

Status RelationOutput::Finish() {
  for (size_t i = 0; i < files_.size(); i++)
    RETURN_IF_ERROR(SyncFile(files_[i].get(), TemporaryName(names_[i])));
  while (!files_.empty()) {
    const std::string name = SegmentName(name_, files_.size() - 1);
    RETURN_IF_ERROR(directory_.Rename(TemporaryName(name), name));
    files_.pop_back();
  }
  return directory_.Sync();
}

}  // namespace neon_redo::cli
