//! Disks that several machines share.

use camino::Utf8Path;

/// True if a path is on a disk that is known to be reached over a network, or that a program provides,
/// which may reach it so. What is not there yet is where its parent is.
pub(crate) fn is_on_network(path: &Utf8Path) -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let found = path.ancestors().find_map(|path| super::sys::statfs(path.as_std_path()).ok());
        #[expect(
            clippy::allow_attributes,
            reason = "the type of the number differs from system to system"
        )]
        #[allow(trivial_numeric_casts, clippy::unnecessary_cast, reason = "see above")]
        found.is_some_and(|found| is_network(found.f_type as u64 & 0xffff_ffff))
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = path;
        false
    }
}

/// By the number that the kernel gives each kind of file system.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_network(magic: u64) -> bool {
    const NETWORK: &[u64] = &[
        0x6969,      // NFS
        0x517b,      // SMB
        0xff53_4d42, // CIFS
        0xfe53_4d42, // SMB 2
        0x0102_1997, // 9P
        0x6573_5546, // FUSE: sshfs, s3fs and many more
        0x00c3_6400, // Ceph
        0x5346_414f, // AFS
        0x6b41_4653, // kAFS
        0x7375_7245, // Coda
        0x0bd0_0bd0, // Lustre
        0x7461_636f, // OCFS2
        0x0116_1970, // GFS2
        0x4750_4653, // GPFS
    ];
    NETWORK.contains(&magic)
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::*;

    #[test]
    fn network_disks_are_told_from_local_ones() {
        for (magic, network) in
            [(0x6969, true), (0xfe53_4d42, true), (0xef53, false), (0x0102_1994, false)]
        {
            assert_eq!(is_network(magic), network, "{magic:x}");
        }
        assert!(!is_on_network(Utf8Path::new("/proc/self/not-there")));
    }
}
