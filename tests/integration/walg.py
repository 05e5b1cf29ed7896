"""A storage in the layout of WAL-G, made from plain base backups: WAL-G itself is in no Debian release. Each
function of the class says which part of WAL-G's source its layout is read from."""

import io
import json
import os
import pathlib
import re
import shutil
import struct
import tarfile

from backup_tools import PACKERS, packed, unpacked
from cluster import make_directory

BLOCK = 8192
PART = 3 << 20  # bytes of files in an archive; WAL-G's default is 1 GB
UTILITY = ("global/pg_control", "backup_label", "tablespace_map")
PAGED = re.compile(r"\d+(\.\d+)?$")


def lsn_number(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def page_lsn(page):
    high, low = struct.unpack_from("<II", page)
    return high << 32 | low


def is_new(page):
    """pd_upper is 0, as of a page that nobody has written."""
    return struct.unpack_from("<H", page, 14) == (0,)


def increment(data, since):
    """IncrementalPageReader in internal/databases/postgres/incremental_page_reader.go."""
    pages = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
    blocks = [n for n, page in enumerate(pages) if is_new(page) or page_lsn(page) >= since]
    header = b"wi1\x55" + struct.pack("<QI", len(data), len(blocks)) + struct.pack(f"<{len(blocks)}I", *blocks)
    return header + b"".join(pages[n] for n in blocks)


def apply(data, part):
    """ApplyFileIncrement in internal/databases/postgres/pagefile.go."""
    assert part[:4] == b"wi1\x55"
    size, count = struct.unpack_from("<QI", part, 4)
    out = bytearray(data[:size].ljust(size, b"\0"))
    for n in range(count):
        (block,) = struct.unpack_from("<I", part, 16 + 4 * n)
        at = 16 + 4 * count + BLOCK * n
        out[block * BLOCK : (block + 1) * BLOCK] = part[at : at + BLOCK]
    return bytes(out)


class WalG:
    """In a directory that the caller removes. suffix: of the packing of what comes next."""

    def __init__(self, cluster, suffix):
        self.cluster, self.suffix = cluster, suffix
        self.storage = pathlib.Path(make_directory("neon_redo.walg."))
        self.backups = self.storage / "basebackups_005"
        self.wal = self.storage / "wal_005"
        self.backups.mkdir()
        self.wal.mkdir()
        os.chmod(self.storage, 0o755)
        self.sources = {}  # of each backup: the plain one that it was made of

    def files(self, source):
        """Those of a plain backup that WAL-G takes, by name: it leaves out what ExcludedFilenames in
        internal/databases/postgres/bundle.go has, and backup_manifest is not in a running server's directory."""
        found = {}
        for parent, directories, names in os.walk(source, followlinks=True):
            below = os.path.relpath(parent, source)
            for name in names:
                inside = os.path.normpath(os.path.join(below, name))
                if not inside.startswith("pg_wal/") and inside != "backup_manifest":
                    found[inside] = pathlib.Path(parent, name).read_bytes()
            for name in directories:
                found[os.path.normpath(os.path.join(below, name))] = None
        return found

    def backup(self, source, prior=None):
        """Makes one of a plain backup, full or on top of another one; its name."""
        files = self.files(source)
        label = files["backup_label"].decode()
        segment = re.search(r"file ([0-9A-F]{24})", label)[1]
        start = lsn_number(re.search(r"START WAL LOCATION: (\S+)", label)[1])
        manifest = json.loads(pathlib.Path(source, "backup_manifest").read_text())
        finish = lsn_number(manifest["WAL-Ranges"][0]["End-LSN"])
        name = f"base_{segment}" + (f"_D_{prior[5:29]}" if prior else "")
        self.sources[name] = source
        (self.backups / name / "tar_partitions").mkdir(parents=True)
        self.write_archives(name, files, prior)
        sentinel = {"LSN": start, "PgVersion": int(self.cluster.psql("SHOW server_version_num")), "FinishLSN": finish}
        sentinel["SystemIdentifier"] = int(self.cluster.psql("SELECT system_identifier FROM pg_control_system()"))
        if prior:
            before = self.sentinel(prior)
            sentinel |= {"DeltaLSN": before["LSN"], "DeltaFrom": prior, "DeltaCount": before.get("DeltaCount", 0) + 1}
            sentinel["DeltaFullName"] = before.get("DeltaFullName", prior)
        spec = {"base_prefix": self.cluster.data, "tablespaces": []}
        for oid in os.listdir(os.path.join(source, "pg_tblspc")):
            spec["tablespaces"].append(oid)
            spec[oid] = {"loc": os.path.join(self.cluster.directory, "far"), "link": f"pg_tblspc/{oid}"}
        sentinel |= {"UncompressedSize": 1, "CompressedSize": 1, "Spec": spec, "UserData": None, "ChkpNum": None}
        (self.backups / name / "metadata.json").write_text(json.dumps({"start_lsn": start, "is_permanent": False}))
        self.sentinel_path(name).write_text(json.dumps({**sentinel, "Version": 2}))
        return name

    def sentinel_path(self, name):
        return self.backups / f"{name}_backup_stop_sentinel.json"

    def metadata_path(self, name):
        return self.backups / name / "files_metadata.json"

    def sentinel(self, name):
        return json.loads(self.sentinel_path(name).read_text())

    def metadata(self, name):
        return json.loads(self.metadata_path(name).read_text())

    def write_archives(self, name, files, prior):
        """addToBundle and uploadLabelFiles in internal/databases/postgres/bundle.go."""
        listed, sets, part, size = {}, {}, [], 0
        before = self.files(self.sources[prior]) if prior else {}
        since = self.sentinel(prior)["LSN"] if prior else 0

        def close():
            archive = f"part_{len(sets) + 1:03}.tar{self.suffix}"
            self.write_tar(name, archive, part)
            sets[archive] = [member for member, _ in part]
            part.clear()

        for file, data in sorted(files.items()):
            if file in UTILITY:
                continue
            same = file in before and before[file] == data and data is not None
            paged = data and len(data) % BLOCK == 0 and PAGED.match(os.path.basename(file))
            paged = bool(paged and file.startswith(("base/", "pg_tblspc/")))
            listed["/" + file] = {"IsIncremented": False, "IsSkipped": same, "MTime": "2026-11-27T00:00:00Z", "UpdatesCount": 0}
            if same:
                continue
            if paged and file in before:
                listed["/" + file]["IsIncremented"] = True
                data = increment(data, since)
            part.append(("/" + file, data))
            size += len(data or b"")
            if size > PART:
                close()
                size = 0
        close()
        self.write_tar(name, f"pg_control.tar{self.suffix}", [("/global/pg_control", files["global/pg_control"])])
        labels = [(file, files[file]) for file in ("backup_label", "tablespace_map") if file in files]
        self.write_tar(name, f"backup_label.tar{self.suffix}", labels)
        self.metadata_path(name).write_text(json.dumps({"Files": listed, "TarFileSets": sets}))

    def write_tar(self, name, archive, members):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for member, data in members:
                info = tarfile.TarInfo(member)
                info.mode = 0o600
                if data is None:
                    info.type = tarfile.DIRTYPE
                else:
                    info.size = len(data)
                tar.addfile(info, io.BytesIO(data or b""))
        self.archive_path(name, archive).write_bytes(packed(out.getvalue(), self.suffix_of(archive)))

    def archive_path(self, name, archive):
        return self.backups / name / "tar_partitions" / archive

    def suffix_of(self, archive):
        return archive[archive.rindex(".tar") + 4 :]

    def archives(self, name):
        """In the order of a restore: FilesToExtractProviderImpl in
        internal/databases/postgres/tars_to_extract_provider.go."""
        names = os.listdir(self.backups / name / "tar_partitions")
        return sorted(names, key=lambda archive: (not archive.startswith("part_"), archive))

    def members(self, name, archive):
        data = unpacked(self.archive_path(name, archive).read_bytes(), self.suffix_of(archive))
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            return [(m.name, tar.extractfile(m).read() if m.isreg() else None) for m in tar]

    def restore(self, name, target, wanted=None):
        """deltaFetchRecursionOld in internal/databases/postgres/backup_fetch_handler.go, as plain directories."""
        target = pathlib.Path(target)
        listed = self.metadata(name)["Files"]
        if wanted is None:
            wanted = {*listed, "/global/pg_control", "backup_label", "tablespace_map"}
        older = {file for file in wanted if file in listed and (listed[file]["IsSkipped"] or listed[file]["IsIncremented"])}
        if "DeltaFrom" in self.sentinel(name):
            self.restore(self.sentinel(name)["DeltaFrom"], target, older)
        for archive in self.archives(name):
            for member, data in self.members(name, archive):
                path = target / member.lstrip("/")
                if data is None:
                    path.mkdir(parents=True, exist_ok=True)
                elif member in wanted:
                    if listed.get(member, {}).get("IsIncremented"):
                        data = apply(path.read_bytes(), data)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)

    def push(self, segments):
        """What archive_command would have done with the segments at these paths."""
        for path in segments:
            name = os.path.basename(path)
            data = pathlib.Path(path).read_bytes()
            (self.wal / f"{name}{self.suffix}").write_bytes(packed(data, self.suffix))
            # Which blocks it changes, and what it is (WALG_USE_WAL_DELTA, WALG_UPLOAD_WAL_METADATA).
            (self.wal / f"{name}_delta{self.suffix}").write_bytes(packed(b"blocks", self.suffix))
            (self.wal / f"{name}.json").write_text("{}")

    def repack(self, suffix):
        """All of it by another program."""
        for path in [path for path in self.storage.rglob("*") if path.is_file() and path.suffix != ".json"]:
            old = path.suffix if path.suffix in PACKERS else ""
            data = unpacked(path.read_bytes(), old)
            path.unlink()
            path.with_name(path.name.removesuffix(old) + suffix).write_bytes(packed(data, suffix))
        self.suffix = suffix

    def remove(self):
        shutil.rmtree(self.storage)
