// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"h2sniff/capture"
	"h2sniff/capture/pcap"
	"h2sniff/capture/recording"
)

// errInterrupted is the end of an openFile that waited when its context ended.
var errInterrupted = errors.New("interrupted")

const stdinName = "standard input"

// fileName is how the file of -r is called where people read it.
func fileName(path string) string {
	if path == "-" {
		return stdinName
	}
	return filepath.Base(path)
}

// streams says that the file of -r may still be written while it is read.
func streams(path string) bool {
	st, err := os.Stat(path)
	if path == "-" {
		st, err = os.Stdin.Stat()
	}
	return err != nil || !st.Mode().IsRegular()
}

// openFile opens what -r names: a recording, or a capture of packets, either
// also compressed with gzip. Where the head of the file has to be waited for,
// the end of ctx ends that.
func openFile(ctx context.Context, path string) (src capture.Source, start int64, far *progress, err error) {
	file, name := io.ReadCloser(nil), path
	if path == "-" {
		file, name = interruptible(os.Stdin), stdinName
	} else if file, err = os.Open(path); err != nil {
		return nil, 0, nil, err
	}
	stop := context.AfterFunc(ctx, func() { file.Close() })
	far = newProgress(file)
	src, start, err = openStream(far)
	if !stop() && err == nil {
		<-ctx.Done()
		src.Close()
		err = errInterrupted
	}
	switch {
	case err == nil:
		return src, start, far, nil
	case ctx.Err() != nil:
		err = errInterrupted
	default:
		err = fmt.Errorf("%s: %w", name, err)
	}
	file.Close()
	return nil, 0, nil, err
}

// openStream finds out what a file is by its first octets.
func openStream(file io.ReadCloser) (capture.Source, int64, error) {
	stream, err := uncompressed(file)
	if err != nil {
		return nil, 0, err
	}
	again := &rewinder{ReadCloser: stream}
	r, err := recording.NewReader(again)
	if err == nil {
		again.forget()
		return r, r.Start(), nil
	}
	if !errors.Is(err, recording.ErrForeign) && !errors.Is(err, recording.ErrNotRecording) {
		return nil, 0, err
	}
	again.rewind()
	p, err := pcap.NewReader(again)
	if err != nil {
		return nil, 0, err
	}
	return p, p.Start(), nil
}

// uncompressed undoes gzip (RFC 1952) where it is used.
func uncompressed(file io.ReadCloser) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(file, 64<<10)
	type stream struct {
		io.Reader
		io.Closer
	}
	magic, err := b.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return stream{b, file}, nil
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, err
	}
	return stream{z, file}, nil
}

// rewinder keeps what is read from it, so that it can be read once more.
type rewinder struct {
	io.ReadCloser
	kept   []byte
	passed bool
}

func (r *rewinder) Read(p []byte) (int, error) {
	if r.passed {
		if len(r.kept) > 0 {
			n := copy(p, r.kept)
			r.kept = r.kept[n:]
			return n, nil
		}
		return r.ReadCloser.Read(p)
	}
	n, err := r.ReadCloser.Read(p)
	r.kept = append(r.kept, p[:n]...)
	return n, err
}

// rewind goes back to the beginning, forget stays where it is; neither can be
// undone.
func (r *rewinder) rewind() { r.passed = true }
func (r *rewinder) forget() { r.passed, r.kept = true, nil }

// interruptible reads from r in a goroutine, because closing standard input
// does not end a read that waits for it. The goroutine ends after the next
// octet, or with the process.
func interruptible(r io.Reader) io.ReadCloser {
	pr, pw := io.Pipe()
	go func() {
		_, err := io.Copy(pw, r)
		pw.CloseWithError(err) // nil: io.EOF
	}()
	return pr
}
