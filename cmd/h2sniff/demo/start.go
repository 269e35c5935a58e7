// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Processes are the server and the client, started by [Start]. Methods may be
// called from any goroutine.
type Processes struct {
	server, client *child
	address        *address
	begin          sync.Once
	beginErr       error
}

// child is a process that ends with the end of its standard input.
type child struct {
	name   string
	cmd    *exec.Cmd
	in     io.WriteCloser
	stderr strings.Builder // read when it has ended
	ended  chan struct{}
	err    error // of waiting, once ended is closed
	closed sync.Once
}

// grace is how long a child may take to end by itself; patience how long it is
// waited for.
const (
	grace    = 2 * time.Second
	patience = 2 * grace
)

// Start runs both as children: the executable of this process with the
// arguments that make it call [Serve] and [Request]. start is called to start
// each, with a SysProcAttr that it may add to. The client waits for
// [Processes.Begin]. The caller must call Close.
func Start(serve, request string, start func(*exec.Cmd) error) (*Processes, error) {
	p := new(Processes)
	var out io.ReadCloser
	var err error
	if p.server, out, err = startChild("server", serve, start); err != nil {
		return nil, err
	}
	if p.address, err = hear(out); err == nil {
		p.client, _, err = startChild("client", request, start)
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func startChild(name, argument string, start func(*exec.Cmd) error) (*child, io.ReadCloser, error) {
	// Not os.Executable: the file may have been replaced meanwhile.
	c := &child{name: name, cmd: exec.Command("/proc/self/exe", argument), ended: make(chan struct{})}
	c.cmd.Args[0] = "h2sniff"
	c.cmd.Stderr = &c.stderr
	// A group of its own: Ctrl-C is for h2sniff, which then ends its children.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := start(c.cmd); err != nil {
		return nil, nil, fmt.Errorf("starting the demo's %s: %w", name, err)
	}
	go func() {
		defer close(c.ended)
		if c.err = c.cmd.Wait(); c.err != nil {
			c.err = fmt.Errorf("the demo's %s: %w", name, c.err)
			if text := strings.TrimSpace(c.stderr.String()); text != "" {
				c.err = fmt.Errorf("%w: %s", c.err, text)
			}
		}
	}()
	return c, out, nil
}

// ServerPID and ClientPID are their process ids.
func (p *Processes) ServerPID() int { return p.server.cmd.Process.Pid }
func (p *Processes) ClientPID() int { return p.client.cmd.Process.Pid }

// Begin lets the client begin, once.
func (p *Processes) Begin() error {
	p.begin.Do(func() {
		if err := p.address.tell(p.client.in); err != nil && !errors.Is(err, os.ErrClosed) {
			p.beginErr = fmt.Errorf("telling the demo's client to begin: %w", err)
		}
	})
	return p.beginErr
}

// Close ends both, waits until they have ended, and returns what went wrong
// with one that ended before.
func (p *Processes) Close() error {
	var err error
	for _, c := range []*child{p.client, p.server} {
		if c != nil {
			err = errors.Join(err, c.close())
		}
	}
	return err
}

func (c *child) close() (err error) {
	c.closed.Do(func() {
		select {
		case <-c.ended:
			err = c.err
			c.in.Close()
			return
		default:
		}
		c.in.Close()
		select {
		case <-c.ended:
		case <-time.After(patience):
			// It has been stopped, else it would have ended by itself, and is
			// another user's where h2sniff is root's.
			if err = c.cmd.Process.Kill(); err != nil {
				err = fmt.Errorf("the demo's %s (pid %d) is stopped and ends when it goes on: %w", c.name, c.cmd.Process.Pid, err)
				return
			}
			<-c.ended
		}
	})
	return err
}
