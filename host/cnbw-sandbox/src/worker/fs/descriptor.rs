//! WASI's `wasi:filesystem`, answered by the name space.

use rustix::fs::FileType;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types as async_types};
use wasmtime_wasi::p2::bindings::sync::filesystem::types;
use wasmtime_wasi::p2::bindings::sync::filesystem::types::{
    Advice, Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
    DirectoryEntryStream, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult, IoError};

use super::directory::Listing;
use super::error::{CodeResult, code, lift};
use super::namespace::{Base, FileSystem, Node};
use super::operations::{MaybeStat, OpenFile, OpenRequest, Opened, file_type, size, stat_node};
use super::stream::{CodeError, FileInput, FileOutput, read_at, write_at};

type ErrorCode = async_types::ErrorCode;

/// What a guest's descriptor stands for.
#[derive(Debug)]
enum Open {
    Directory(Base),
    File(OpenFile),
}

/// The guest's view of its file system during a call.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) table: &'a mut ResourceTable,
    pub(crate) files: &'a mut FileSystem,
}

struct HasFiles;

impl HasData for HasFiles {
    type Data<'a> = View<'a>;
}

/// Puts `wasi:filesystem` into a linker, over what is there already.
pub(crate) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> View<'_>,
) -> wasmtime::Result<()> {
    types::add_to_linker::<_, HasFiles>(linker, view)?;
    preopens::add_to_linker::<_, HasFiles>(linker, view)
}

impl View<'_> {
    fn get(&self, descriptor: &Resource<Descriptor>) -> FsResult<&Open> {
        Ok(self.table.get(&Resource::new_borrow(descriptor.rep()))?)
    }

    fn base(&self, descriptor: &Resource<Descriptor>) -> FsResult<Base> {
        match self.get(descriptor)? {
            Open::Directory(base) => Ok(base.clone()),
            Open::File(_) => Err(ErrorCode::NotDirectory.into()),
        }
    }

    fn node(&self, descriptor: &Resource<Descriptor>) -> FsResult<Node> {
        Ok(match self.base(descriptor)? {
            Base::Node(node) => node,
            Base::Working => self.files.working_dir().clone(),
        })
    }

    fn file(&self, descriptor: &Resource<Descriptor>) -> FsResult<&OpenFile> {
        match self.get(descriptor)? {
            Open::File(file) => Ok(file),
            Open::Directory(_) => Err(ErrorCode::IsDirectory.into()),
        }
    }

    fn readable(&self, descriptor: &Resource<Descriptor>) -> FsResult<OpenFile> {
        let file = self.file(descriptor)?;
        if file.readable {
            Ok(file.clone())
        } else {
            Err(ErrorCode::BadDescriptor.into())
        }
    }

    fn writable(&self, descriptor: &Resource<Descriptor>) -> FsResult<OpenFile> {
        let file = self.file(descriptor)?;
        if file.writable {
            Ok(file.clone())
        } else {
            Err(ErrorCode::BadDescriptor.into())
        }
    }

    fn push(&mut self, open: Open) -> FsResult<Resource<Descriptor>> {
        // A full table is the limit on open files, and an error that programs know.
        let pushed = self
            .table
            .push(open)
            .map_err(|_| ErrorCode::InsufficientMemory)?;
        Ok(Resource::new_own(pushed.rep()))
    }

    fn stat_of(&self, descriptor: &Resource<Descriptor>) -> FsResult<MaybeStat> {
        match self.get(descriptor)? {
            Open::File(file) => lift(rustix::fs::fstat(&file.file).map(Some).map_err(code)),
            Open::Directory(_) => lift(stat_node(&self.node(descriptor)?)),
        }
    }

    fn describe(&self, stat: MaybeStat) -> DescriptorStat {
        let (type_, link_count, size) = match &stat {
            None => (DescriptorType::Directory, 1, 0),
            // What a directory's own size and links say depends on the disk, not on its content.
            Some(stat) if file_type(stat) == FileType::Directory => {
                (DescriptorType::Directory, 1, 0)
            }
            Some(stat) => (descriptor_type(file_type(stat)), stat.st_nlink, size(stat)),
        };
        let time = Some(self.files.times);
        DescriptorStat {
            type_,
            link_count,
            size,
            data_access_timestamp: time,
            data_modification_timestamp: time,
            status_change_timestamp: time,
        }
    }

    fn number(&mut self, stat: MaybeStat) -> MetadataHashValue {
        let key = stat.map_or((0, 0), |stat| (stat.st_dev, stat.st_ino));
        let numbers = &mut self.files.numbers;
        let next = u64::try_from(numbers.len())
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        MetadataHashValue {
            lower: *numbers.entry(key).or_insert(next),
            upper: 0,
        }
    }
}

pub(super) fn descriptor_type(file_type: FileType) -> DescriptorType {
    match file_type {
        FileType::RegularFile => DescriptorType::RegularFile,
        FileType::Directory => DescriptorType::Directory,
        FileType::Symlink => DescriptorType::SymbolicLink,
        FileType::Fifo => DescriptorType::Fifo,
        FileType::Socket => DescriptorType::Socket,
        FileType::CharacterDevice => DescriptorType::CharacterDevice,
        FileType::BlockDevice => DescriptorType::BlockDevice,
        FileType::Unknown => DescriptorType::Unknown,
    }
}

fn follows(flags: PathFlags) -> bool {
    flags.contains(PathFlags::SYMLINK_FOLLOW)
}

impl preopens::Host for View<'_> {
    /// The working directory comes first, for programs that start in their first directory. Its name ends
    /// in a slash, so that programs that compare by prefix alone do not take its neighbors for parts of it.
    /// The last one wins in programs whose library knows relative paths only.
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let working_dir = self.files.working_dir().clone();
        let mut name = String::from_utf8_lossy(working_dir.path()).into_owned();
        name.push('/');
        let root = Base::Node(self.files.root());
        let mut directories = Vec::new();
        for (base, name) in [
            (Base::Node(working_dir), name),
            (root, "/".to_owned()),
            (Base::Working, ".".to_owned()),
        ] {
            let pushed = self.table.push(Open::Directory(base))?;
            directories.push((Resource::new_own(pushed.rep()), name));
        }
        Ok(directories)
    }
}

impl types::Host for View<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<types::ErrorCode> {
        Ok(error.downcast()?.into())
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<IoError>,
    ) -> wasmtime::Result<Option<types::ErrorCode>> {
        let error = self.table.get(&error)?;
        let code = if let Some(CodeError(code)) = error.downcast_ref() {
            Some(*code)
        } else {
            error
                .downcast_ref::<std::io::Error>()
                .map(|error| rustix::io::Errno::from_io_error(error).map_or(ErrorCode::Io, code))
        };
        Ok(code.map(Into::into))
    }
}

impl types::HostDescriptor for View<'_> {
    fn read_via_stream(
        &mut self,
        descriptor: Resource<Descriptor>,
        offset: u64,
    ) -> FsResult<Resource<DynInputStream>> {
        let file = self.readable(&descriptor)?.file;
        let stream: DynInputStream = Box::new(FileInput {
            file,
            position: offset,
        });
        Ok(self.table.push(stream)?)
    }

    fn write_via_stream(
        &mut self,
        descriptor: Resource<Descriptor>,
        offset: u64,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.output(&descriptor, Some(offset))
    }

    fn append_via_stream(
        &mut self,
        descriptor: Resource<Descriptor>,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.output(&descriptor, None)
    }

    fn advise(
        &mut self,
        descriptor: Resource<Descriptor>,
        _offset: u64,
        _length: u64,
        _advice: Advice,
    ) -> FsResult<()> {
        self.file(&descriptor).map(drop)
    }

    fn sync_data(&mut self, descriptor: Resource<Descriptor>) -> FsResult<()> {
        // Nothing has to survive a power cut: a build that ends early is thrown away.
        self.get(&descriptor).map(drop)
    }

    fn get_flags(&mut self, descriptor: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        Ok(match self.get(&descriptor)? {
            Open::Directory(_) => {
                let node = self.node(&descriptor)?;
                let mut flags = DescriptorFlags::READ;
                if self.files.is_writable(&node) {
                    flags |= DescriptorFlags::MUTATE_DIRECTORY;
                }
                flags
            }
            Open::File(file) => {
                let mut flags = DescriptorFlags::empty();
                if file.readable {
                    flags |= DescriptorFlags::READ;
                }
                if file.writable {
                    flags |= DescriptorFlags::WRITE;
                }
                flags
            }
        })
    }

    fn get_type(&mut self, descriptor: Resource<Descriptor>) -> FsResult<DescriptorType> {
        Ok(match self.get(&descriptor)? {
            Open::Directory(_) => DescriptorType::Directory,
            Open::File(_) => DescriptorType::RegularFile,
        })
    }

    fn set_size(&mut self, descriptor: Resource<Descriptor>, new_size: u64) -> FsResult<()> {
        let file = self.writable(&descriptor)?.file;
        let before = size(&rustix::fs::fstat(&file).map_err(code)?);
        let growth = new_size.saturating_sub(before);
        self.files.quota.take_bytes(growth)?;
        match rustix::fs::ftruncate(&file, new_size) {
            Ok(()) => self
                .files
                .quota
                .return_bytes(before.saturating_sub(new_size)),
            Err(errno) => {
                self.files.quota.return_bytes(growth);
                return Err(self.files.quota.code(errno).into());
            }
        }
        Ok(())
    }

    fn set_times(
        &mut self,
        descriptor: Resource<Descriptor>,
        _access: NewTimestamp,
        _modification: NewTimestamp,
    ) -> FsResult<()> {
        match self.get(&descriptor)? {
            Open::File(_) => Ok(()),
            Open::Directory(_) => lift(self.files.check_writable(&self.node(&descriptor)?)),
        }
    }

    fn read(
        &mut self,
        descriptor: Resource<Descriptor>,
        length: u64,
        offset: u64,
    ) -> FsResult<(Vec<u8>, bool)> {
        let file = self.readable(&descriptor)?.file;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = read_at(&file, offset, length).map_err(code)?;
        let is_end = bytes.is_empty() && length > 0;
        Ok((bytes, is_end))
    }

    fn write(
        &mut self,
        descriptor: Resource<Descriptor>,
        bytes: Vec<u8>,
        offset: u64,
    ) -> FsResult<u64> {
        let file = self.writable(&descriptor)?.file;
        write_at(&file, &self.files.quota, offset, &bytes)?;
        Ok(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
    }

    fn read_directory(
        &mut self,
        descriptor: Resource<Descriptor>,
    ) -> FsResult<Resource<DirectoryEntryStream>> {
        let node = self.node(&descriptor)?;
        let listing = self.files.list(&node)?;
        let pushed = self
            .table
            .push(listing)
            .map_err(|_| ErrorCode::InsufficientMemory)?;
        Ok(Resource::new_own(pushed.rep()))
    }

    fn sync(&mut self, descriptor: Resource<Descriptor>) -> FsResult<()> {
        self.sync_data(descriptor)
    }

    fn create_directory_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        path: String,
    ) -> FsResult<()> {
        lift(self.files.create_directory(&self.base(&descriptor)?, &path))
    }

    fn stat(&mut self, descriptor: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        Ok(self.describe(self.stat_of(&descriptor)?))
    }

    fn stat_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        let stat = self
            .files
            .stat(&self.base(&descriptor)?, &path, follows(flags))?;
        Ok(self.describe(stat))
    }

    fn set_times_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        _access: NewTimestamp,
        _modification: NewTimestamp,
    ) -> FsResult<()> {
        lift(
            self.files
                .set_times(&self.base(&descriptor)?, &path, follows(flags)),
        )
    }

    fn link_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        flags: PathFlags,
        old_path: String,
        new_descriptor: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        let (old, new) = (self.base(&descriptor)?, self.base(&new_descriptor)?);
        lift(
            self.files
                .hard_link((&old, &old_path), follows(flags), (&new, &new_path)),
        )
    }

    fn open_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let request = OpenRequest {
            follow: follows(path_flags),
            create: open_flags.contains(OpenFlags::CREATE),
            directory: open_flags.contains(OpenFlags::DIRECTORY),
            exclusive: open_flags.contains(OpenFlags::EXCLUSIVE),
            truncate: open_flags.contains(OpenFlags::TRUNCATE),
            read: flags.contains(DescriptorFlags::READ),
            write: flags.contains(DescriptorFlags::WRITE),
        };
        let base = self.base(&descriptor)?;
        let open = match self.files.open(&base, &path, request)? {
            Opened::Directory(node) => Open::Directory(Base::Node(node)),
            Opened::File(file) => Open::File(file),
        };
        self.push(open)
    }

    fn readlink_at(&mut self, descriptor: Resource<Descriptor>, path: String) -> FsResult<String> {
        lift(self.files.read_link(&self.base(&descriptor)?, &path))
    }

    fn remove_directory_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        path: String,
    ) -> FsResult<()> {
        let base = self.base(&descriptor)?;
        lift(self.files.remove(&base, &path, true))
    }

    fn rename_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        old_path: String,
        new_descriptor: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        let (old, new) = (self.base(&descriptor)?, self.base(&new_descriptor)?);
        lift(self.files.rename((&old, &old_path), (&new, &new_path)))
    }

    fn symlink_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        target: String,
        path: String,
    ) -> FsResult<()> {
        lift(self.files.symlink(&target, &self.base(&descriptor)?, &path))
    }

    fn unlink_file_at(&mut self, descriptor: Resource<Descriptor>, path: String) -> FsResult<()> {
        let base = self.base(&descriptor)?;
        lift(self.files.remove(&base, &path, false))
    }

    fn is_same_object(
        &mut self,
        first: Resource<Descriptor>,
        second: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        let key = |stat: MaybeStat| stat.map(|stat| (stat.st_dev, stat.st_ino));
        match (self.stat_of(&first), self.stat_of(&second)) {
            (Ok(first), Ok(second)) => Ok(key(first) == key(second)),
            _ => Ok(false),
        }
    }

    fn metadata_hash(&mut self, descriptor: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        let stat = self.stat_of(&descriptor)?;
        Ok(self.number(stat))
    }

    fn metadata_hash_at(
        &mut self,
        descriptor: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        let stat = self
            .files
            .stat(&self.base(&descriptor)?, &path, follows(flags))?;
        Ok(self.number(stat))
    }

    fn drop(&mut self, descriptor: Resource<Descriptor>) -> wasmtime::Result<()> {
        self.table
            .delete(Resource::<Open>::new_own(descriptor.rep()))?;
        Ok(())
    }
}

impl View<'_> {
    fn output(
        &mut self,
        descriptor: &Resource<Descriptor>,
        position: Option<u64>,
    ) -> FsResult<Resource<DynOutputStream>> {
        let file = self.writable(descriptor)?.file;
        let quota = std::sync::Arc::clone(&self.files.quota);
        let stream: DynOutputStream = Box::new(FileOutput {
            file,
            quota,
            position,
        });
        Ok(self.table.push(stream)?)
    }
}

impl types::HostDirectoryEntryStream for View<'_> {
    fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        let listing: &mut Listing = self.table.get_mut(&Resource::new_borrow(stream.rep()))?;
        let next: CodeResult<_> = listing.next();
        lift(next)
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.table
            .delete(Resource::<Listing>::new_own(stream.rep()))?;
        Ok(())
    }
}
