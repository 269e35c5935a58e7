// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"h2sniff/capture"
	"h2sniff/capture/recording"
	"h2sniff/cmd/h2sniff/privilege"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// errWriteMixes refuses a recording on a standard output that has something
// else to show.
var errWriteMixes = usageError{errors.New("-w - would mix with what is shown: use h2sniff record -w -")}

func addWriteFlags(f *pflag.FlagSet, o *options) {
	f.StringVarP(&o.write, "write", "w", "", "write a recording to `FILE` (mode 0600; with record: - for standard output)")
	f.Var((*rotateFlag)(&o.rotation.Size), "rotate", "begin a new file, FILE-00001 and so on, when one has `SIZE` octets")
	f.IntVar(&o.rotation.Files, "files", 0, "with --rotate: keep only the `N` newest files")
	f.BoolVar(&o.force, "force", false, "replace the recording FILE, with --rotate all its files, if it is there")
}

// checkWrite finds options that contradict each other.
func (o *options) checkWrite(f *pflag.FlagSet) error {
	rotates := o.rotation.Size > 0
	switch {
	case f.Changed("write") && o.write == "":
		return usageError{errors.New("-w needs a file")}
	case o.write == "" && o.force:
		return usageError{errors.New("--force needs -w FILE")}
	case o.write == "" && rotates:
		return usageError{errors.New("--rotate needs -w FILE")}
	case !rotates && f.Changed("files"):
		return usageError{errors.New("--files needs --rotate SIZE")}
	case rotates && o.write == "-":
		return usageError{errors.New("--rotate needs a file: standard output is one stream")}
	case f.Changed("files") && o.rotation.Files < 1:
		return usageError{errors.New("--files needs a number of at least 1")}
	case o.write != "" && o.write != "-" && sameAsInput(o.read, o.write):
		return usageError{fmt.Errorf("-r and -w name the same file, %s: it would be overwritten before it is read", o.write)}
	}
	return nil
}

// sameAsInput says whether the file of -r would be overwritten.
func sameAsInput(read, path string) bool {
	if read == "" {
		return false
	}
	in, err := os.Stat(read)
	if read == "-" {
		in, err = os.Stdin.Stat()
	}
	if err != nil || !in.Mode().IsRegular() {
		return false
	}
	out, err := os.Stat(path)
	return err == nil && os.SameFile(in, out)
}

// checkWritable finds, before anything is attached to, that the recording
// cannot be written. It changes nothing.
func (o *options) checkWritable() error {
	var err error
	switch {
	case o.write == "":
	case o.write == "-":
		if isTerminal(os.Stdout) {
			err = recording.ErrTerminal
		}
	case o.rotation.Size > 0:
		err = o.rotatable()
	default:
		err = writable(o.write, o.force)
	}
	if err != nil {
		return fmt.Errorf("creating the recording: %w", withForce(err))
	}
	return nil
}

// withForce says of a file that is there how it is replaced.
func withForce(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: choose another name, or replace it with --force", err)
	}
	return err
}

// rotatable is writable for the files of --rotate.
func (o *options) rotatable() error {
	earlier, err := recording.RotationFiles(o.write)
	if err != nil {
		return err
	}
	if len(earlier) > 0 && !o.force {
		return &fs.PathError{Op: "create", Path: earlier[0], Err: fs.ErrExist}
	}
	return creatable(o.write)
}

// creatable tells why no new file can be made beside, or as, path.
func creatable(path string) error {
	if err := unix.Access(filepath.Dir(path), unix.W_OK); err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return nil
}

func writable(path string, replace bool) error {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return creatable(path)
	case err != nil:
		return err
	case st.IsDir():
		return &fs.PathError{Op: "open", Path: path, Err: unix.EISDIR}
	case !st.Mode().IsRegular():
		return nil // opening a pipe waits for its reader
	case st.Size() > 0 && !replace:
		return &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// writes lists the folders in which the options let the viewer make files.
func (o *options) writes() []string {
	var dirs []string
	if o.write != "" && o.write != "-" {
		dirs = append(dirs, filepath.Dir(o.write))
	}
	return dirs
}

// createRecording begins what is recorded of a session that began at start.
func (o *options) createRecording(start int64) (recording.Output, error) {
	if o.rotation.Size == 0 {
		return createFile(o.write, start, o.force)
	}
	meta, err := recordingMeta(start)
	if err != nil {
		return nil, err
	}
	meta.Replace = o.force
	w, err := recording.CreateRotation(o.write, o.rotation, meta)
	if err != nil {
		return nil, fmt.Errorf("creating the recording: %w", withForce(err))
	}
	return w, nil
}

// createFile begins a recording in one file.
func createFile(path string, start int64, replace bool) (recording.Output, error) {
	meta, err := recordingMeta(start)
	if err != nil {
		return nil, err
	}
	meta.Replace = replace
	w, err := recording.Create(path, meta)
	if err != nil {
		return nil, fmt.Errorf("creating the recording: %w", withForce(err))
	}
	return w, nil
}

func recordingMeta(start int64) (recording.Options, error) {
	owner, err := recordingOwner()
	return recording.Options{Start: start, Version: version(), Owner: owner}, err
}

// recordingOwner is who gets new files.
func recordingOwner() (*recording.Owner, error) {
	caller, err := privilege.Caller()
	if caller == nil {
		return nil, err
	}
	return &recording.Owner{UID: int(caller.Uid), GID: int(caller.Gid)}, nil
}

// giveToCaller gives a new file to who called.
func giveToCaller(f *os.File) error {
	owner, err := recordingOwner()
	if owner == nil {
		return err
	}
	return f.Chown(owner.UID, owner.GID)
}

// tellFailed says on w that a recording has failed, as soon as it does and until
// stop is called.
func tellFailed(tee *recording.Tee, w io.Writer) (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case err := <-tee.Failed():
			say(w, "%v", err)
		case <-quit:
		}
	}()
	return func() {
		close(quit)
		<-ended
	}
}

// tee gives the source to read from: the session, which is recorded on the
// way if that was asked for. That the recording fails is told on report at once,
// and by the end of the session. Closing it closes the session. After an error
// the session is closed.
func (o *options) tee(s *session, report io.Writer) (capture.Source, error) {
	if o.write == "" {
		return s, nil
	}
	s.report = report
	return o.startableTee(s)
}

// startableTee is tee where a recording can also begin later.
func (o *options) startableTee(s *session) (*recording.Tee, error) {
	var w recording.Output
	if o.write != "" {
		var err error
		if w, err = o.createRecording(s.start); err != nil {
			s.stop()
			return nil, errors.Join(err, s.Close())
		}
	}
	s.tee = recording.NewTee(s, w)
	return s.tee, nil
}

// elsewhere is the command that reads a recording elsewhere, with what has to be
// known of it; empty for one without packets.
func elsewhere(path, decodeAs string, madeUp int) string {
	if decodeAs == "" {
		return ""
	}
	command := "tshark -r " + path + " " + decodeAs
	if madeUp > 0 {
		command += "  # addresses and ports of " + plural(madeUp, "connection") + " are made up there"
	}
	return command
}

// tellWritten says how what was recorded can be read elsewhere.
func (o *options) tellWritten(w io.Writer, out recording.Output, decodeAs string, madeUp int) {
	name := o.write
	if r, ok := out.(*recording.Rotation); ok {
		first, last := r.Files()
		name = r.Name(last)
		say(w, "%s, %s to %s", plural(last-first+1, "file"), r.Name(first), name)
	}
	if command := elsewhere(name, decodeAs, madeUp); command != "" && name != "-" {
		say(w, "to read it elsewhere: %s", command)
	}
}

// isStream says that somebody may read a file while it is written.
func isStream(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) != 0
}
