// SPDX-License-Identifier: Apache-2.0

package privilege

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// Caller is the user who called sudo, doas or pkexec; nil where the process
// already runs as its caller.
func Caller() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"SUDO_UID", "DOAS_UID", "PKEXEC_UID"} {
		uid, err := strconv.ParseUint(os.Getenv(name), 10, 31)
		if err != nil || uid == 0 {
			continue
		}
		c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
		u, err := user.LookupId(strconv.FormatUint(uid, 10))
		if err != nil {
			if gid, err := strconv.ParseUint(os.Getenv("SUDO_GID"), 10, 31); err == nil {
				c.Gid = uint32(gid)
			}
			return c, nil // an id without an account
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("finding the group of user %s: %w", u.Username, err)
		}
		c.Gid = uint32(gid)
		ids, err := u.GroupIds()
		if err != nil {
			return nil, fmt.Errorf("finding the groups of user %s: %w", u.Username, err)
		}
		for _, id := range ids {
			if gid, err := strconv.ParseUint(id, 10, 31); err == nil {
				c.Groups = append(c.Groups, uint32(gid))
			}
		}
		return c, nil
	}
	return nil, nil
}

// nobody owns nothing on Linux (the overflow uid of the kernel).
const nobody = 65534

// Powerless is for what needs no file of the caller's: the ids of [Caller] or,
// where that is root, of nobody, if nobody may execute this program.
func Powerless() (*syscall.Credential, error) {
	if c, err := Caller(); c != nil || err != nil || os.Geteuid() != 0 {
		return c, err
	}
	const others fs.FileMode = 0o001
	if st, err := os.Stat("/proc/self/exe"); err != nil || st.Mode()&others == 0 {
		return nil, err
	}
	return &syscall.Credential{Uid: nobody, Gid: nobody}, nil
}
