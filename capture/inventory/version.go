// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"debug/buildinfo"
	"errors"
	"io"
	"os"
	"path"
	"regexp"
	"strings"

	"h2sniff/capture/target"

	"golang.org/x/sys/unix"
)

// versionTexts are how libraries write their version among their constants;
// OpenSSL does so in libcrypto.
var versionTexts = map[string]*regexp.Regexp{
	"OpenSSL": regexp.MustCompile(`\bOpenSSL (\d+\.\d+\.\d+[a-z]{0,2}) `),
	"GnuTLS":  regexp.MustCompile(`Enabled GnuTLS (\d+\.\d+\.\d+) `),
	"wolfSSL": regexp.MustCompile(`\bwolfSSL (\d+\.\d+\.\d+)\x00`),
	"mbedTLS": regexp.MustCompile(`\b[mM]bed TLS (\d+\.\d+\.\d+)\x00`),
	"NSS":     regexp.MustCompile(`Version: NSS (\d+\.\d+(?:\.\d+)?)`),
}

// boring is a name of a source file among the constants of BoringSSL, which has
// no versions.
var boring = regexp.MustCompile(`ssl/ssl_lib\.cc\x00`)

// version tells that of a library, "" where nothing does: the number in a file's
// name is that of its interface.
func (l *lister) version(pid int, of *target.Library) string {
	family := of.Family.String()
	if family == "Go" {
		file, err := of.OpenFile()
		if err != nil {
			return ""
		}
		defer file.Close()
		info, err := buildinfo.Read(file)
		if err != nil {
			return ""
		}
		return info.GoVersion
	}
	texts := []*regexp.Regexp{versionTexts[family]}
	if family == "OpenSSL" {
		texts = append(texts, boring)
	}
	v := l.textIn(of.Open, texts)
	if v == "" && family == "OpenSSL" {
		v = l.libcrypto(pid, of.Path, texts)
	}
	return v
}

// libcrypto asks the other half of OpenSSL: the one that the process maps or,
// without a process, the one beside libssl.
func (l *lister) libcrypto(pid int, libssl string, texts []*regexp.Regexp) string {
	if pid == 0 {
		dir, base := path.Split(libssl)
		return l.textIn(dir+strings.Replace(base, "libssl", "libcrypto", 1), texts)
	}
	list, err := files(pid)
	if err != nil {
		return ""
	}
	for _, m := range list {
		if strings.HasPrefix(path.Base(m.path), "libcrypto") {
			if v := l.textIn(m.open, texts); v != "" {
				return v
			}
		}
	}
	return ""
}

// fileID identifies a file with its content.
type fileID struct {
	dev, inode uint64
	size       int64
	ctime      unix.Timespec
}

func identify(path string) (fileID, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fileID{}, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fileID{}, errors.New("not a regular file")
	}
	return fileID{uint64(st.Dev), st.Ino, st.Size, st.Ctim}, nil
}

func (l *lister) textIn(path string, texts []*regexp.Regexp) string {
	id, err := identify(path)
	if err != nil {
		return ""
	}
	v, ok := l.versions[id]
	if !ok {
		v = findVersion(path, texts)
		l.versions[id] = v
	}
	return v
}

func findVersion(path string, texts []*regexp.Regexp) (version string) {
	search(path, func(piece []byte) bool {
		for _, text := range texts {
			if text == nil {
				continue
			}
			switch m := text.FindSubmatch(piece); {
			case len(m) > 1:
				version = string(m[1])
			case len(m) > 0:
				version = "BoringSSL"
			}
		}
		return version == ""
	})
	return version
}

// maxSearched bounds what is read of a file, in octets; overlap is more than
// any text that is looked for has.
const (
	maxSearched = 256 << 20
	pieceOctets = 1 << 20
	overlap     = 256
)

// search hands the content of a file over in pieces that overlap, until f
// refuses. What cannot be read is not there.
func search(path string, f func(piece []byte) bool) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	r := io.LimitReader(file, maxSearched)
	buf := make([]byte, overlap+pieceOctets)
	kept := 0
	for {
		n, err := io.ReadFull(r, buf[kept:])
		if n == 0 || !f(buf[:kept+n]) {
			return
		}
		if err != nil {
			return
		}
		kept = copy(buf, buf[kept+n-overlap:kept+n])
	}
}
