// SPDX-License-Identifier: Apache-2.0

package target

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// finder finds the functions in mapped files. It remembers every file it has
// read; it is not for concurrent use.
type finder struct {
	families []Family
	wanted   map[Family][]string
	all      []string
	cache    map[version]contents
	// layers tells, of files on overlayfs, the device by which each was seen
	// first; dev of its keys is 0.
	layers map[version]uint64
}

// version identifies a file and the content that it had.
type version struct {
	dev, inode   uint64
	size         int64
	mtime, ctime unix.Timespec
}

// contents is what reading a file came to.
type contents struct {
	functions map[Family][]Function // families with a core function only
	dynamic   bool
	overlay   bool
	err       error
}

func versionOf(st *unix.Stat_t) version {
	return version{uint64(st.Dev), st.Ino, st.Size, st.Mtim, st.Ctim}
}

// maxCached bounds what a program that maps ever new files can make us keep.
const maxCached = 1024

func newFinder(s Selection, wanted map[Family][]string) *finder {
	f := &finder{wanted: make(map[Family][]string), cache: make(map[version]contents), layers: make(map[version]uint64)}
	for _, family := range []Family{OpenSSL, GnuTLS} {
		off := family == OpenSSL && s.NoOpenSSL || family == GnuTLS && s.NoGnuTLS
		if names := wanted[family]; len(names) > 0 && !off {
			f.families = append(f.families, family)
			f.wanted[family] = names
			f.all = append(f.all, names...)
		}
	}
	return f
}

// wants reports whether a file of that name is to be looked into.
func (f *finder) wants(path []byte) bool {
	family, _ := familyOf(path)
	return family != 0 && slices.Contains(f.families, family)
}

// library returns what the mapped file holds of the family that its name
// promises, nil if nothing was to be expected.
func (f *finder) library(pid int, m *mapping) (*Library, error) {
	family, strict := familyOf([]byte(m.path))
	open, st, err := locate(pid, m)
	if err != nil {
		return nil, err
	}
	c := f.read(open, st)
	if c.err != nil {
		return nil, c.err
	}
	functions := c.functions[family]
	if functions == nil {
		if strict {
			return nil, fmt.Errorf("%w (%s)", ErrNoFunctions, coreNames(family))
		}
		return nil, nil
	}
	return &Library{
		Path: m.path, Open: open, Deleted: m.deleted,
		Dev: uint64(st.Dev), Inode: st.Ino, Family: family, Functions: functions,
		layer: f.layer(st, c),
	}, nil
}

// layer tells files on overlayfs apart by what is the file's own. Its inode
// number and times are those of the file in the layer below, and with the time
// of the last change in nanoseconds no two files share them.
func (f *finder) layer(st *unix.Stat_t, c contents) uint64 {
	if !c.overlay {
		return 0
	}
	v := versionOf(st)
	v.dev = 0
	dev, ok := f.layers[v]
	if !ok {
		if len(f.layers) >= maxCached {
			clear(f.layers)
		}
		dev = uint64(st.Dev)
		f.layers[v] = dev
	}
	return dev
}

// libraries returns what the file at path holds of any family.
func (f *finder) libraries(path string) ([]Library, contents, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nil, contents{}, err
	}
	c := f.read(path, &st)
	if c.err != nil {
		return nil, c, c.err
	}
	var found []Library
	for _, family := range f.families {
		if functions := c.functions[family]; functions != nil {
			found = append(found, Library{
				Path: path, Open: path,
				Dev: uint64(st.Dev), Inode: st.Ino, Family: family, Functions: functions,
				layer: f.layer(&st, c),
			})
		}
	}
	return found, c, nil
}

// locate finds a path that leads to the mapped inode.
//
// What maps says of device and inode is not always what stat says: on btrfs
// the device differs, on overlayfs both can. So the file behind map_files,
// which is the mapped one for certain, is compared with the candidates; only
// where that link may not be followed (it takes CAP_SYS_ADMIN or
// CAP_CHECKPOINT_RESTORE) the numbers of maps are, without the device where a
// file system made it up (major 0).
func locate(pid int, m *mapping) (string, *unix.Stat_t, error) {
	file := procPath(pid, "map_files/") + strconv.FormatUint(m.start, 16) + "-" + strconv.FormatUint(m.end, 16)
	var st, want unix.Stat_t
	denied := unix.Stat(file, &want)
	same := func() bool {
		if denied == nil {
			return st.Dev == want.Dev && st.Ino == want.Ino
		}
		return st.Ino == m.inode && (uint64(st.Dev) == unix.Mkdev(m.major, m.minor) ||
			m.major == 0 || unix.Major(uint64(st.Dev)) == 0)
	}
	// First our own path, which outlives the process, then the process's
	// root: it may be in another mount namespace or chrooted.
	for _, path := range []string{m.path, procPath(pid, "root") + m.path, procPath(pid, "exe")} {
		if unix.Stat(path, &st) == nil && same() {
			return path, &st, nil
		}
	}
	if denied == nil {
		return file, &want, nil
	}
	if _, err := readStat(pid); err != nil {
		return "", nil, err
	}
	if errors.Is(denied, unix.ENOENT) { // unmapped meanwhile
		return "", nil, denied
	}
	return "", nil, fmt.Errorf("%w: %w", ErrMoved, denied)
}

// read returns what the file holds that st describes.
func (f *finder) read(path string, st *unix.Stat_t) contents {
	v := versionOf(st)
	if c, ok := f.cache[v]; ok {
		return c
	}
	c, lasting := f.open(path, st)
	if lasting {
		if len(f.cache) >= maxCached {
			clear(f.cache)
		}
		f.cache[v] = c
	}
	return c
}

// open opens and reads; lasting says that doing so again would come to the
// same.
func (f *finder) open(path string, st *unix.Stat_t) (c contents, lasting bool) {
	// A hostile process may have put anything in the file's place: a FIFO
	// must not block us.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return contents{err: err}, false
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	var now unix.Stat_t
	if err := unix.Fstat(fd, &now); err != nil {
		return contents{err: err}, false
	}
	if now.Dev != st.Dev || now.Ino != st.Ino {
		return contents{err: ErrMoved}, false
	}
	if now.Mode&unix.S_IFMT != unix.S_IFREG {
		return contents{err: ErrNotELF}, true
	}
	o, err := readObject(file, now.Size)
	if err != nil {
		return contents{err: err}, lasts(err)
	}
	found, err := o.functions(f.all)
	if err != nil {
		return contents{err: err}, lasts(err)
	}
	if err := o.findInner(found); err != nil {
		return contents{err: err}, lasts(err)
	}
	var fs unix.Statfs_t
	c.overlay = unix.Fstatfs(fd, &fs) == nil && fs.Type == unix.OVERLAYFS_SUPER_MAGIC
	c.dynamic = o.dynamic
	c.functions = make(map[Family][]Function)
	for _, family := range f.families {
		var functions []Function
		worth := false
		for _, fn := range found {
			if slices.Contains(f.wanted[family], fn.Name) {
				functions = append(functions, fn)
				worth = worth || slices.Contains(core[family], fn.Name)
			}
		}
		if worth {
			c.functions[family] = functions
		}
	}
	return c, true
}

// lasts tells errors of the file's content from those of reading it.
func lasts(err error) bool {
	return errors.Is(err, ErrNotELF) || errors.Is(err, ErrMachine) || errors.Is(err, ErrMalformed)
}
