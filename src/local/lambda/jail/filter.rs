//! The system calls that jailed processes may not make, as a seccomp program for the kernel.
//!
//! It refuses calls that a Function does not need and that could get around the jail: user namespaces, in which a
//! process is root and can reach more of the kernel; the kernel's keyrings, which outlive a process and are shared by
//! all processes of a user; virtual machine sockets, which no firewall sees; and calls that make other calls without
//! this filter.

use nix::libc;

/// Offsets into `struct seccomp_data`, which a filter examines.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

/// Instructions of the kernel's packet filter (`linux/bpf_common.h`).
const LOAD: u16 = 0x20;
const IF_EQUAL: u16 = 0x15;
#[cfg(target_arch = "x86_64")]
const IF_AT_LEAST: u16 = 0x35;
const IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

const ALLOW: u32 = 0x7fff_0000;
const FAIL: u32 = 0x0005_0000;

/// `AUDIT_ARCH_…` (`linux/audit.h`). There is no filter for other processors.
const OWN_ARCHITECTURE: Option<u32> = if cfg!(target_arch = "x86_64") {
    Some(0xc000_003e)
} else if cfg!(target_arch = "aarch64") {
    Some(0xc000_00b7)
} else {
    None
};

/// The bit that marks the numbers of the x32 ABI, a second set of numbers for the same calls.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

/// The program in bubblewrap's format, or `None` on an unsupported processor.
pub(super) fn program() -> Option<Vec<u8>> {
    let mut program = Program::default();
    program.only_architecture(OWN_ARCHITECTURE?);
    program.step(LOAD, 0, 0, NUMBER);
    #[cfg(target_arch = "x86_64")]
    {
        program.step(IF_AT_LEAST, 0, 1, X32);
        program.fail(libc::ENOSYS);
    }
    for call in [libc::SYS_clone, libc::SYS_unshare] {
        program.refuse_if(call, IF_ANY_BIT, libc::CLONE_NEWUSER, libc::EPERM);
    }
    // Its flags are in memory, which a filter cannot read. Programs fall back to `clone` if it does not exist.
    program.refuse(libc::SYS_clone3, libc::ENOSYS);
    for call in [libc::SYS_keyctl, libc::SYS_add_key, libc::SYS_request_key] {
        program.refuse(call, libc::EPERM);
    }
    program.refuse_if(libc::SYS_socket, IF_EQUAL, libc::AF_VSOCK, libc::EAFNOSUPPORT);
    // It can open sockets, for example, without the filter seeing that.
    program.refuse(libc::SYS_io_uring_setup, libc::ENOSYS);
    for call in [libc::SYS_bpf, libc::SYS_perf_event_open, libc::SYS_userfaultfd] {
        program.refuse(call, libc::EPERM);
    }
    program.step(RETURN, 0, 0, ALLOW);
    Some(program.bytes)
}

#[derive(Default)]
struct Program {
    /// A sequence of `struct sock_filter`.
    bytes: Vec<u8>,
}

impl Program {
    /// Adds one instruction: its operand, and how many instructions to skip if it is true and if it is false.
    fn step(&mut self, code: u16, if_true: u8, if_false: u8, operand: u32) {
        self.bytes.extend(code.to_ne_bytes());
        self.bytes.extend([if_true, if_false]);
        self.bytes.extend(operand.to_ne_bytes());
    }

    fn fail(&mut self, errno: i32) {
        self.step(RETURN, 0, 0, FAIL | errno.cast_unsigned());
    }

    /// Fails all calls of the processor's other modes, in which calls have other numbers.
    fn only_architecture(&mut self, own: u32) {
        self.step(LOAD, 0, 0, ARCHITECTURE);
        self.step(IF_EQUAL, 1, 0, own);
        self.fail(libc::ENOSYS);
    }

    fn refuse(&mut self, call: libc::c_long, errno: i32) {
        self.step(IF_EQUAL, 0, 1, number(call));
        self.fail(errno);
    }

    /// Refuses the call if `compare` holds for its first argument and `operand`.
    fn refuse_if(&mut self, call: libc::c_long, compare: u16, operand: i32, errno: i32) {
        self.step(IF_EQUAL, 0, 4, number(call));
        self.step(LOAD, 0, 0, FIRST_ARGUMENT);
        self.step(compare, 0, 1, operand.cast_unsigned());
        self.fail(errno);
        self.step(RETURN, 0, 0, ALLOW);
    }
}

/// The number as the kernel passes it to a filter. No number is negative or large.
fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program on one call, as the kernel would.
    fn verdict(architecture: u32, call: u32, argument: u32) -> u32 {
        let bytes = program().unwrap();
        let steps: Vec<_> = bytes.chunks_exact(8).collect();
        let (mut at, mut loaded) = (0, 0);
        loop {
            let step = steps[at];
            let code = u16::from_ne_bytes([step[0], step[1]]);
            let operand = u32::from_ne_bytes(step[4..8].try_into().unwrap());
            let holds = match code {
                LOAD => {
                    loaded = match operand {
                        NUMBER => call,
                        ARCHITECTURE => architecture,
                        FIRST_ARGUMENT => argument,
                        other => panic!("loads {other}"),
                    };
                    at += 1;
                    continue;
                }
                RETURN => return operand,
                IF_EQUAL => loaded == operand,
                IF_ANY_BIT => loaded & operand != 0,
                0x35 => loaded >= operand,
                other => panic!("unknown instruction {other}"),
            };
            at += 1 + usize::from(if holds { step[2] } else { step[3] });
        }
    }

    #[test]
    fn ordinary_calls_pass_and_dangerous_ones_fail() {
        let own = OWN_ARCHITECTURE.unwrap();
        let fails = |call: libc::c_long, argument: i32, errno: i32| {
            let verdict = verdict(own, number(call), argument.cast_unsigned());
            assert_eq!(verdict, FAIL | errno.cast_unsigned(), "{call}");
        };
        let passes = |call: libc::c_long, argument: i32| {
            assert_eq!(verdict(own, number(call), argument.cast_unsigned()), ALLOW, "{call}");
        };
        fails(libc::SYS_unshare, libc::CLONE_NEWUSER | libc::CLONE_NEWNS, libc::EPERM);
        fails(libc::SYS_clone, libc::CLONE_NEWUSER | libc::SIGCHLD, libc::EPERM);
        fails(libc::SYS_clone3, 0, libc::ENOSYS);
        fails(libc::SYS_keyctl, 0, libc::EPERM);
        fails(libc::SYS_socket, libc::AF_VSOCK, libc::EAFNOSUPPORT);
        passes(libc::SYS_clone, libc::CLONE_VM | libc::CLONE_THREAD);
        passes(libc::SYS_unshare, libc::CLONE_FILES);
        for domain in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK] {
            passes(libc::SYS_socket, domain);
        }
        for call in [libc::SYS_read, libc::SYS_execve, libc::SYS_futex, libc::SYS_setresuid, libc::SYS_ptrace] {
            passes(call, 0);
        }
        assert_eq!(verdict(own ^ 1, number(libc::SYS_read), 0), FAIL | libc::ENOSYS.cast_unsigned());
    }
}
