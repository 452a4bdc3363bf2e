/* SPDX-License-Identifier: Apache-2.0 */
/* Capabilities and system calls. The only place that includes libcap-ng and libseccomp. A call that is not listed fails
 * with EPERM rather than kill: a forgotten corner of libc must not take the host's network down, and the call does not
 * happen. */
#include "fastpath/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static void raise_limit(int resource)
{
	struct rlimit l;

	if (getrlimit((__rlimit_resource_t)resource, &l) < 0)
		return;
	l.rlim_cur = l.rlim_max;
	/* Refused only where a policy says so: then the old one holds. */
	(void)setrlimit((__rlimit_resource_t)resource, &l);
}

void sandbox_harden(void)
{
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)setrlimit(RLIMIT_CORE, &(const struct rlimit){0, 0});
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	raise_limit(RLIMIT_NOFILE);
	raise_limit(RLIMIT_MEMLOCK);
}

static int drop_capabilities(void)
{
	capng_select_t which = CAPNG_SELECT_CAPS;

	if (capng_get_caps_process() < 0)
		return -EPERM;
	/* Without CAP_SETPCAP the bounding set stays; no_new_privs makes it worthless. */
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP))
		which = CAPNG_SELECT_BOTH;
	capng_clear(which);
	if (capng_apply(which) < 0 || capng_get_caps_process() < 0)
		return -EPERM;
	return capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE ? 0 : -EPERM;
}

/* Calls that need no look at their arguments. */
static const int calls[] = {
	/* packets, ctl, log */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(accept4),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(shutdown),
	/* descriptors */
	SCMP_SYS(close),
	SCMP_SYS(dup),
	SCMP_SYS(fcntl),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(eventfd2),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(timerfd_gettime),
	SCMP_SYS(fstat),
	/* the ctl socket's path, at the end */
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	/* memory */
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(brk),
	SCMP_SYS(mlock),
	SCMP_SYS(mlock2),
	SCMP_SYS(munlock),
	/* threads, signals, time */
	SCMP_SYS(futex),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(tgkill),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getrandom),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday),
};

/* Calls allowed where one argument, masked, has a value. */
static const struct {
	int call;
	unsigned argument;
	scmp_datum_t mask, value;
} checked_calls[] = {
	/* no code is made at run time */
	{SCMP_SYS(mmap), 2, PROT_EXEC, 0},
	{SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
	/* threads, but no processes; clone3 is answered ENOSYS, then libc comes here */
	{SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD},
	{SCMP_SYS(prctl), 0, UINT32_MAX, PR_SET_NAME},
	/* fstat() of this libc */
	{SCMP_SYS(newfstatat), 3, AT_EMPTY_PATH, AT_EMPTY_PATH},
	{SCMP_SYS(ioctl), 1, UINT32_MAX, TUNSETOFFLOAD},
	{SCMP_SYS(ioctl), 1, UINT32_MAX, TUNGETIFF},
	{SCMP_SYS(ioctl), 1, UINT32_MAX, TUNSETVNETHDRSZ},
	{SCMP_SYS(ioctl), 1, UINT32_MAX, SIOCINQ},
	{SCMP_SYS(ioctl), 1, UINT32_MAX, SIOCOUTQ},
	{SCMP_SYS(ioctl), 1, UINT32_MAX, SIOCOUTQNSD},
};

static int add_rules(scmp_filter_ctx filter)
{
	int r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

	for (size_t i = 0; r == 0 && i < sizeof(calls) / sizeof(calls[0]); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	for (size_t i = 0; r == 0 && i < sizeof(checked_calls) / sizeof(checked_calls[0]); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, checked_calls[i].call, 1,
				     SCMP_CMP(checked_calls[i].argument, SCMP_CMP_MASKED_EQ, checked_calls[i].mask,
					      checked_calls[i].value));
	return r;
}

static int filter_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!filter)
		return -ENOMEM;
	r = add_rules(filter);
	/* The frequent calls are found by a search, not a walk. */
	if (r == 0)
		(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

int sandbox_enter(const char **what)
{
	const int r = drop_capabilities();

	*what = "no capabilities, no seccomp: built with a sanitizer";
	if (r < 0 || SANITIZED)
		return r;
	*what = "no capabilities, seccomp: EPERM but for listed calls";
	return filter_calls();
}
