// SPDX-License-Identifier: Apache-2.0

package target

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// finder finds the functions in mapped files. It remembers every file it has
// read; it is not for concurrent use.
type finder struct {
	rules  []*rule // of the families that are looked for
	wanted map[Family][]string
	// symbols are the wanted names of all rules that read symbol tables.
	symbols  []string
	programs bool // executables count for some family
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
	hidden    *HiddenError          // of a file without those, where it was looked for
	dynamic   bool
	overlay   bool
	err       error
}

func versionOf(st *unix.Stat_t) version {
	return version{uint64(st.Dev), st.Ino, st.Size, st.Mtim, st.Ctim}
}

// maxCached bounds what a program that maps ever new files can make us keep.
const maxCached = 1024

// maxProgramTables bounds the symbol tables of an executable that nobody named,
// in octets: reading them takes some 0.3 s per GiB, in which nothing else is
// found.
const maxProgramTables = 256 << 20

func newFinder(s Selection, wanted map[Family][]string) *finder {
	f := &finder{wanted: make(map[Family][]string), cache: make(map[version]contents), layers: make(map[version]uint64)}
	for i := range rules {
		r := &rules[i]
		names := wanted[r.family]
		if len(names) == 0 || !s.has(r.family) {
			continue
		}
		f.rules = append(f.rules, r)
		f.wanted[r.family] = names
		f.programs = f.programs || r.executable
		if r.find == nil {
			f.symbols = append(f.symbols, names...)
		}
	}
	return f
}

// wants reports whether a file of that name is to be looked into.
func (f *finder) wants(path []byte) bool {
	base := baseName(path)
	for _, r := range f.rules {
		if ok, _ := r.names(base); ok {
			return true
		}
	}
	return f.programs && mayBeProgram(path)
}

// librariesOf returns what a mapped file holds of the families that its name
// promises, and, of the process's executable, of those that can be in one.
func (f *finder) librariesOf(pid int, m *mapping) ([]Library, error) {
	candidates, missing := f.named(m.path)
	executable := len(candidates) == 0
	limit := uint64(math.MaxUint64)
	if executable {
		if !isProgram(pid, m) {
			return nil, nil
		}
		limit, candidates = maxProgramTables, f.inPrograms()
	}
	open, st, err := locate(pid, m)
	if err != nil {
		return nil, err
	}
	c := f.read(open, st, limit)
	if c.err != nil {
		if executable && lasts(c.err) && !errors.Is(c.err, ErrGo) {
			return nil, nil // nothing says that it uses TLS
		}
		return nil, c.err
	}
	found := f.holds(c, candidates, Library{
		Path: m.path, Open: open, Deleted: m.deleted, Executable: executable,
		Dev: uint64(st.Dev), Inode: st.Ino, layer: f.layer(st, c), content: contentOf(st),
	})
	if len(found) == 0 && executable && c.hidden != nil {
		return nil, c.hidden
	}
	if len(found) == 0 && missing != nil {
		return nil, fmt.Errorf("%w (%s)", ErrNoFunctions, missing.coreNames())
	}
	return found, nil
}

// named returns the families that a library of that name can be of, and the one
// that the name promises, if it does.
func (f *finder) named(path string) (candidates []*rule, promised *rule) {
	base := baseName([]byte(path))
	for _, r := range f.rules {
		ok, strict := r.names(base)
		if ok {
			candidates = append(candidates, r)
		}
		if strict {
			promised = r
		}
	}
	return candidates, promised
}

// inPrograms returns the families that can be in an executable.
func (f *finder) inPrograms() []*rule {
	return slices.DeleteFunc(slices.Clone(f.rules), func(r *rule) bool { return !r.executable })
}

// holds returns what a file holds of some families; l is what all have in
// common.
func (f *finder) holds(c contents, of []*rule, l Library) []Library {
	var found []Library
	for _, r := range of {
		if functions := c.functions[r.family]; functions != nil {
			l.Family, l.Functions = r.family, functions
			found = append(found, l)
		}
	}
	return found
}

// isProgram reports whether a mapping is most likely of the executable of its
// process. On overlayfs the numbers may not tell, and in another root the path.
func isProgram(pid int, m *mapping) bool {
	if !mayBeProgram([]byte(m.path)) {
		return false
	}
	var st unix.Stat_t
	if unix.Stat(procPath(pid, "exe"), &st) == nil && st.Ino == m.inode {
		return true
	}
	return strings.TrimSuffix(readExe(pid), deletedSuffix) == m.path
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
	c := f.read(path, &st, math.MaxUint64)
	if c.err != nil {
		return nil, c, c.err
	}
	l := Library{Path: path, Open: path, Dev: uint64(st.Dev), Inode: st.Ino, layer: f.layer(&st, c), content: contentOf(&st)}
	return f.holds(c, f.rules, l), c, nil
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

// read returns what the file holds that st describes, or ErrTooLarge where its
// symbol tables have more than limit octets.
func (f *finder) read(path string, st *unix.Stat_t, limit uint64) contents {
	v := versionOf(st)
	if c, ok := f.cache[v]; ok {
		return c
	}
	c, lasting := f.open(path, st, limit)
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
func (f *finder) open(path string, st *unix.Stat_t, limit uint64) (c contents, lasting bool) {
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
	if size := o.tableSize(); size > limit {
		return contents{err: fmt.Errorf("%w (%d MiB)", ErrTooLarge, size>>20)}, false
	}
	symbols, err := o.functions(f.symbols)
	if err != nil {
		return contents{err: err}, lasts(err)
	}
	if err := o.findEntries(symbols); err != nil {
		return contents{err: err}, lasts(err)
	}
	if err := o.findInner(symbols); err != nil {
		return contents{err: err}, lasts(err)
	}
	var fs unix.Statfs_t
	c.overlay = unix.Fstatfs(fd, &fs) == nil && fs.Type == unix.OVERLAYFS_SUPER_MAGIC
	c.dynamic = o.dynamic
	c.functions = make(map[Family][]Function)
	var unfound error // which does not keep other families from being found
	for _, r := range f.rules {
		found := symbols
		if r.find != nil {
			var err error
			if found, err = r.find(o, f.wanted[r.family]); err != nil {
				unfound = errors.Join(unfound, err)
				continue
			}
		}
		if functions := r.choose(found, f.wanted[r.family]); functions != nil {
			c.functions[r.family] = functions
		}
	}
	if len(c.functions) == 0 && unfound != nil {
		return contents{err: unfound}, lasts(unfound)
	}
	if len(c.functions) == 0 && mayBeProgram([]byte(path)) {
		if c.hidden, err = o.findHidden(f.rules); err != nil {
			return contents{err: err}, lasts(err)
		}
	}
	return c, true
}

// choose returns the wanted functions, none without one of the core.
func (r *rule) choose(found []Function, wanted []string) []Function {
	var functions []Function
	worth := false
	for _, fn := range found {
		if slices.Contains(wanted, fn.Name) {
			functions = append(functions, fn)
			worth = worth || slices.Contains(r.core, fn.Name)
		}
	}
	if !worth {
		return nil
	}
	return functions
}

// lasts tells errors of the file's content from those of reading it.
func lasts(err error) bool {
	return errors.Is(err, ErrNotELF) || errors.Is(err, ErrGo) || errors.Is(err, ErrMachine) || errors.Is(err, ErrMalformed)
}
