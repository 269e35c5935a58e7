// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// The capture of running programs takes two processes. The privileged one finds
// programs, loads BPF programs and places probes; nothing that a peer of a
// traced program has sent ever reaches it. The viewer reads the ring buffer,
// decodes, stores, shows and writes, with the ids of the caller and no
// capability. A socket is between them: the viewer says when it is ready, and
// ends the capture by closing its side; the privileged process sends what
// follows. Each end sends from several goroutines and receives in one.

// message is one packet of the privileged process; one field is set.
type message struct {
	Started *started   `json:",omitempty"`
	Library *library   `json:",omitempty"`
	Process *contained `json:",omitempty"`
	Status  *string    `json:",omitempty"` // what is attached, in a few words
	Covers  *coverage  `json:",omitempty"` // what was not
	Quit    bool       `json:",omitempty"` // a signal asks for the end
	Suspend bool       `json:",omitempty"` // a signal asks for the terminal to be given back
	Resume  bool       `json:",omitempty"` // the job was stopped and is continued
	End     *ending    `json:",omitempty"`
}

// started comes first, with the descriptors of the bpf.Queue.
type started struct {
	Name string // what is captured
}

// library gives a number of attach cookies a name.
type library struct {
	Number uint32
	Name   string
}

// contained says in which container a process runs.
type contained struct {
	PID       uint32
	Container string
}

// ending comes last: all probes are gone.
type ending struct {
	Error   string `json:",omitempty"`
	Command int    `json:",omitempty"` // exit status of the command after --, if it is not 0
}

func endingOf(err error) *ending {
	var command commandExit
	switch {
	case err == nil:
		return &ending{}
	case errors.As(err, &command):
		return &ending{Command: int(command)}
	}
	return &ending{Error: err.Error()}
}

func (e *ending) err() error {
	switch {
	case e.Command != 0:
		return commandExit(e.Command)
	case e.Error != "":
		return errors.New(e.Error)
	}
	return nil
}

// handover is one end of the socket. Packets can be sent from several goroutines;
// receiving is for one at a time.
type handover struct {
	conn *net.UnixConn
	last *os.File // conn by another descriptor; nil without
}

// maxMessage bounds a packet, octets.
const maxMessage = 64 << 10

// newHandover makes both ends: one to use, one to give to the viewer.
func newHandover() (*handover, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making a socket: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "viewer")
	ours, err := openHandover(os.NewFile(uintptr(fds[0]), "capture"))
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// openHandover takes over f.
func openHandover(f *os.File) (*handover, error) {
	conn, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return nil, fmt.Errorf("opening the socket of the capture: %w", err)
	}
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, errors.New("opening the socket of the capture: it is of another kind")
	}
	return &handover{conn: unixConn}, nil
}

// mostFiles bounds the kernel's table of descriptors, octets: 8 times that.
const mostFiles = 1 << 15

// closeEarly has the other end told at once where this process is killed. The
// kernel then releases files from the highest descriptor down (task_work_run,
// kernel/task_work.c), and takes some 50 ms for each link of a probe: the socket
// gets a descriptor above those.
func (h *handover) closeEarly() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("getrlimit: %w", err)
	}
	raw, err := h.conn.SyscallConn()
	if err != nil {
		return err
	}
	var fd int
	if e := raw.Control(func(own uintptr) {
		fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, int(min(limit.Cur, mostFiles))-1)
	}); e != nil {
		return e
	}
	if err != nil {
		return fmt.Errorf("giving the socket of the viewer a high descriptor: %w", err)
	}
	h.last = os.NewFile(uintptr(fd), "viewer")
	return nil
}

// send hands over a message and descriptors, which stay open here.
func (h *handover) send(m *message, fds ...int) error {
	packet, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	if _, _, err := h.conn.WriteMsgUnix(packet, rights, nil); err != nil {
		return fmt.Errorf("speaking to the viewer: %w", err)
	}
	return nil
}

// receive waits for a message; io.EOF where the other end is gone.
func (h *handover) receive() (*message, []int, error) {
	packet, control := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(16*4))
	n, controlN, _, _, err := h.conn.ReadMsgUnix(packet, control)
	switch {
	case err == nil && n == 0, errors.Is(err, io.EOF):
		return nil, nil, io.EOF
	case err != nil:
		return nil, nil, err
	}
	var fds []int
	if controlN > 0 {
		messages, err := unix.ParseSocketControlMessage(control[:controlN])
		if err != nil {
			return nil, nil, err
		}
		for i := range messages {
			got, err := unix.ParseUnixRights(&messages[i])
			if err != nil {
				return nil, nil, err
			}
			fds = append(fds, got...)
		}
	}
	var m message
	if err := json.Unmarshal(packet[:n], &m); err != nil {
		return nil, fds, err
	}
	return &m, fds, nil
}

// begin tells the privileged process that the viewer is ready.
func (h *handover) begin() error {
	_, err := h.conn.Write([]byte{'b'})
	return err
}

// waitBegin waits for that. An error says that the viewer ended before.
func (h *handover) waitBegin() error {
	n, err := h.conn.Read(make([]byte, 1))
	if err == nil && n == 0 {
		err = io.EOF
	}
	return err
}

// suspend tells the privileged process that the terminal has been given back:
// the job can be stopped.
func (h *handover) suspend() error {
	_, err := h.conn.Write([]byte{'s'})
	return err
}

// waitEnd waits until the viewer wants no more, or is gone. It calls suspended
// when the job can be stopped.
func (h *handover) waitEnd(suspended func()) {
	what := make([]byte, 1)
	for {
		n, err := h.conn.Read(what)
		if n == 0 || err != nil {
			return
		}
		if what[0] == 's' {
			suspended()
		}
	}
}

// finish says that no more is wanted.
func (h *handover) finish() error { return h.conn.CloseWrite() }

func (h *handover) close() error {
	err := h.conn.Close()
	if h.last != nil {
		err = errors.Join(err, h.last.Close())
	}
	return err
}
