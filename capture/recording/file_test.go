// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"h2sniff/capture"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// TestCreateRefuses: what a file holds is not lost; an empty one holds nothing.
func TestCreateRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.pcapng")
	if err := os.WriteFile(path, []byte("evidence"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(path, Options{}); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("over a file: %v", err)
	}
	if held, err := os.ReadFile(path); err != nil || string(held) != "evidence" {
		t.Errorf("the file holds %q, %v", held, err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	w, err := Create(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

func TestCreateMode(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "r.pcapng")
	for _, before := range []fs.FileMode{0, 0o666, 0o640} {
		if before != 0 {
			if err := os.WriteFile(path, bytes.Repeat([]byte("old"), 1000), before); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, before); err != nil {
				t.Fatal(err)
			}
		}
		w, err := Create(path, Options{Replace: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != 0o600 {
			t.Errorf("mode %v before, %v after", before, st.Mode())
		}
		r, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if events, err := readAll(r); len(events) != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%d events, %v", len(events), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestClosedWriter(t *testing.T) {
	w, err := Create(filepath.Join(t.TempDir(), "r.pcapng"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Write(&capture.Event{Kind: capture.Close}); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	if err := w.Flush(); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

func TestStandardOutput(t *testing.T) {
	_, events, _ := small(t)
	pr, pw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pr.Close()
	stdout := os.Stdout
	defer func() { os.Stdout = stdout }()
	os.Stdout = pw

	go func() {
		defer pw.Close()
		w, err := Create("-", Options{})
		if err != nil {
			t.Error(err)
			return
		}
		for i := range events {
			if err := w.Write(&events[i]); err != nil {
				t.Error(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		// Close leaves standard output open.
		if _, err := pw.Stat(); err != nil {
			t.Error(err)
		}
	}()
	r, err := NewReader(pr)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := readAll(r)
	if !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if d := diff(events, got); d != "" {
		t.Error(d)
	}
}

// TestCloseEndsRead: a Read that waits for a pipe returns io.EOF after Close.
func TestCloseEndsRead(t *testing.T) {
	file, events, _ := small(t)
	pr, pw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pw.Close()
	go pw.Write(file[:len(file)-1])
	r, err := NewReader(pr)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	n := 0
	go func() {
		got, err := readAll(r)
		n = len(got)
		ended <- err
	}()
	select {
	case err := <-ended:
		t.Fatalf("ended before Close: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, io.EOF) || n != len(events) {
		t.Errorf("%d events, %v", n, err)
	}
}

func TestNotARecording(t *testing.T) {
	ours := write(t, nil)
	foreign := func(name string) []byte {
		var b bytes.Buffer
		o := pcapgo.DefaultNgWriterOptions
		o.SectionInfo.Application = name
		o.SectionInfo.Comment = sectionComment
		w, err := pcapgo.NewNgWriterInterface(&b, pcapgo.NgInterface{LinkType: layers.LinkTypeRaw}, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	pcap := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	swapped := bytes.Clone(ours)
	binary.BigEndian.PutUint32(swapped[8:], byteOrderMagic)
	for _, c := range []struct {
		name string
		file []byte
		want error
	}{
		{"empty", nil, ErrEmpty},
		{"one octet of text", []byte("x"), ErrNotRecording},
		{"text", []byte("GET / HTTP/1.1\r\nHost: example\r\n\r\n"), ErrNotRecording},
		{"pcap", append(pcap, make([]byte, 40)...), ErrNotRecording},
		{"no byte order", append([]byte{10, 13, 13, 10}, make([]byte, 40)...), ErrNotRecording},
		{"big-endian pcapng", swapped, ErrForeign},
		{"pcapng by another program", foreign("gopacket"), ErrForeign},
		{"pcapng by h2sniffer", foreign("h2sniffer"), ErrForeign},
		{"pcapng by nobody", foreign(""), ErrForeign},
		{"newer form", bytes.Replace(ours, []byte("form 1\n"), []byte("form 2\n"), 1), ErrNewer},
		{"form 12", bytes.Replace(ours, []byte("form 1\nT"), []byte("form 12\n"), 1), ErrNewer},
		{"other lengths", append(bytes.Clone(ours), 99, 0, 0, 0, 12, 0, 0, 0, 16, 0, 0, 0), ErrDamaged},
		{"length that is no multiple", append(bytes.Clone(ours), 5, 0, 0, 0, 13, 0, 0, 0), ErrDamaged},
		{"length of 2 GiB", append(bytes.Clone(ours), 5, 0, 0, 0, 0, 0, 0, 128), ErrDamaged},
		{"two recordings", append(bytes.Clone(ours), ours...), ErrDamaged},
		{"unknown blocks", append(bytes.Clone(ours), 99, 0, 0, 0, 12, 0, 0, 0, 12, 0, 0, 0), io.EOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "r.pcapng")
			if err := os.WriteFile(path, c.file, 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := Open(path)
			if err == nil {
				_, err = readAll(r)
				r.Close()
			} else if !strings.Contains(err.Error(), path) {
				t.Errorf("the file is not named: %v", err)
			}
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a sentence: %q", err)
			}
		})
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, syscall.EISDIR) {
		t.Error(err)
	}
}

// TestPcapgo has another reader of pcapng and TCP find the events' octets.
func TestPcapgo(t *testing.T) {
	file, events, _ := small(t)
	r, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	var want, got [3]map[uint64][]byte // by connection: position, of either direction
	for i := range want {
		want[i], got[i] = make(map[uint64][]byte), make(map[uint64][]byte)
	}
	for _, ev := range events {
		if len(ev.Data) > 0 && len(ev.Data) < 60000 {
			want[ev.Conn][ev.Offset<<1|uint64(ev.Direction)] = ev.Data
		}
	}
	comments := 0
	for {
		data, ci, opts, err := r.ReadPacketDataWithOptions()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		comments += len(opts.Comments)
		p := gopacket.NewPacket(data, layers.LinkTypeRaw, gopacket.Default)
		tcp, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
		if !ok || p.ErrorLayer() != nil && ci.Length == ci.CaptureLength {
			t.Fatalf("not TCP: %v", p)
		}
		if len(tcp.Payload) > 0 && len(tcp.Payload) < 60000 {
			d := capture.Send
			if (tcp.SrcPort == 443) != (ci.InterfaceIndex == 1) {
				d = capture.Recv
			}
			at := tcp.Seq - initialSequence(uint32(ci.InterfaceIndex), d) - 1
			key := uint64(at)<<1 | uint64(d)
			if at == 0 && string(tcp.Payload) == "b" {
				key = 1 << 51 // the event at 2^50, which 32 bits cannot tell
			}
			got[ci.InterfaceIndex][key] = bytes.Clone(tcp.Payload)
		}
	}
	delete(got[2], uint64(5+65495)<<1) // the rest of the event of two packets
	for i := range want {
		if len(want[i]) != len(got[i]) {
			t.Errorf("interface %d: %d packets with data, want %d", i, len(got[i]), len(want[i]))
		}
		for at, b := range want[i] {
			if !bytes.Equal(b, got[i][at]) {
				t.Errorf("interface %d, position %d: %q, want %q", i, at>>1, got[i][at], b)
			}
		}
	}
	if comments != 7 { // of two handshakes, two binds, a loss, the data at 2^50, a close
		t.Errorf("%d comments", comments)
	}
}
