// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// grpcServer is a program: a server of gRPC's health service, until its
// standard input ends. It says its pid and its port. With two arguments, the
// files of a certificate and its key, it speaks TLS.
func grpcServer(args []string) error {
	var options []grpc.ServerOption
	if len(args) == 2 {
		transport, err := credentials.NewServerTLSFromFile(args[0], args[1])
		if err != nil {
			return err
		}
		options = append(options, grpc.Creds(transport))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := grpc.NewServer(options...)
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	go func() {
		fmt.Println("ok", os.Getpid())
		fmt.Println("ok", l.Addr().(*net.TCPAddr).Port)
		io.Copy(io.Discard, os.Stdin)
		s.GracefulStop()
	}()
	return s.Serve(l)
}

// grpcClient is a program: a client of grpcServer, with one connection. On each
// line of its standard input it makes calls: one that succeeds, one with a large
// message that fails, one whose answer is a stream that it cancels. A second
// argument is the file of the certificate that is to be trusted, for TLS.
func grpcClient(args []string) error {
	transport := insecure.NewCredentials()
	if len(args) == 2 {
		var err error
		if transport, err = credentials.NewClientTLSFromFile(args[1], ""); err != nil {
			return err
		}
	}
	conn, err := grpc.NewClient("127.0.0.1:"+args[0], grpc.WithTransportCredentials(transport))
	if err != nil {
		return err
	}
	client := grpc_health_v1.NewHealthClient(conn)
	fmt.Println("ok", os.Getpid())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); fmt.Println("ok") {
		if err := makeCalls(client); err != nil {
			return err
		}
	}
	return conn.Close()
}

// calledOctets is how many octets of DATA makeCalls sends and receives, by the
// lengths of messages (5 octets in front of each, and what protobuf makes).
var calledOctets = map[string]uint32{"send": 5 + 5 + 1 + 3 + 100_000 + 5, "recv": 5 + 2 + 5 + 2}

func makeCalls(client grpc_health_v1.HealthClient) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if _, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{}); err != nil {
		return err
	}
	large := &grpc_health_v1.HealthCheckRequest{Service: strings.Repeat("large", 20_000)}
	if _, err := client.Check(ctx, large); status.Code(err) != codes.NotFound {
		return fmt.Errorf("want not found, got %w", err)
	}
	stream, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		return err
	}
	if _, err := stream.Recv(); err != nil {
		return err
	}
	cancel()
	if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
		return fmt.Errorf("want cancelled, got %w", err)
	}
	return nil
}

var goFrame = regexp.MustCompile(`http2: Framer 0x[0-9a-f]+: (wrote|read) ([A-Z_]+)(?: flags=\S+)?(?: stream=(\d+))? len=(\d+)`)

// goFrames reads what a Go program logs of the frames in one direction with
// GODEBUG=http2debug=2: "TYPE stream length".
func goFrames(log, dir string) []string {
	verb := map[string]string{"send": "wrote", "recv": "read"}[dir]
	var out []string
	for _, m := range goFrame.FindAllStringSubmatch(log, -1) {
		if m[1] == verb {
			stream, _ := strconv.Atoi(m[3]) // none is 0
			out = append(out, fmt.Sprintf("%s %d %s", m[2], stream, m[4]))
		}
	}
	return out
}

// rowFrames gives frames in the same form, but not DATA, which grpc-go does not
// log: those are counted in octets.
func rowFrames(rows []row) (out []string, data uint32) {
	for _, r := range rows {
		if r.Type == "DATA" {
			data += r.Length
			continue
		}
		out = append(out, fmt.Sprintf("%s %d %d", r.Type, r.Stream, r.Length))
	}
	return out, data
}

// wantTail wants the frames to be the last ones of a log, at least n.
func wantTail(t testing.TB, what string, got, log []string, n int) {
	t.Helper()
	if len(got) < n || len(got) > len(log) {
		t.Errorf("%s: %d frames, want the last %d of %d at least", what, len(got), n, len(log))
		return
	}
	for i, want := range log[len(log)-len(got):] {
		if got[i] != want {
			t.Errorf("%s frame %d: %s, but %s was logged", what, i, got[i], want)
			return
		}
	}
}

// sent leaves out of a log what may have stayed in a buffer: grpc-go logs a frame
// that it writes there, and does not send it where the other end has gone.
func sent(log, got []string) []string {
	for range 3 {
		if len(log) > 0 && len(got) > 0 && log[len(log)-1] != got[len(got)-1] {
			log = log[:len(log)-1]
		}
	}
	return log
}

// startLogging starts a program that logs its frames.
func startLogging(t testing.TB, name string, args ...string) (*peer, *lockedBuilder) {
	t.Helper()
	cmd := program(name, args...)
	cmd.Env = append(cmd.Env, "GODEBUG=http2debug=2")
	log := &lockedBuilder{}
	cmd.Stderr = log
	return startPeerCommand(t, cmd), log
}

// TestGRPC: what grpc-go sends and receives is what it logs, whether h2sniff
// comes before the connection or later, over TLS and without.
func TestGRPC(t *testing.T) {
	needPrograms(t)
	t.Parallel()
	for i := range 4 {
		late, overTLS := i%2 == 1, i >= 2
		t.Run(fmt.Sprintf("late %v TLS %v", late, overTLS), func(t *testing.T) {
			t.Parallel()
			var serverArgs, clientArgs []string
			if overTLS {
				cert, key := certificate(t, t.TempDir())
				serverArgs, clientArgs = []string{cert, key}, []string{cert}
			}
			server, serverLog := startLogging(t, "grpc server", serverArgs...)
			port := server.answer()
			client, clientLog := startLogging(t, "grpc client", append([]string{port}, clientArgs...)...)
			if late {
				client.do("calls")
				// What they still send of themselves is logged before the attach.
				for n := -1; n != len(clientLog.String())+len(serverLog.String()); time.Sleep(200 * time.Millisecond) {
					n = len(clientLog.String()) + len(serverLog.String())
				}
			}
			s := startSniff(t, "-p", strconv.Itoa(server.pid), "-p", strconv.Itoa(client.pid))
			var before [2][2]int
			logs := []*lockedBuilder{clientLog, serverLog}
			for i, log := range logs {
				for j, dir := range []string{"send", "recv"} {
					before[i][j] = len(goFrames(log.String(), dir))
				}
			}
			const rounds = 5
			for range rounds {
				client.do("calls")
			}
			client.end()
			s.waitFor("the connection to close", closed(1))
			server.end()
			s.wait()
			rows := s.snapshot()
			wantClean(t, rows)
			for i, p := range []*peer{client, server} {
				list := connsOf(rows, p.pid)
				if len(list) != 1 {
					t.Fatalf("%d connections of process %d", len(list), p.pid)
				}
				for j, dir := range []string{"send", "recv"} {
					log := goFrames(logs[i].String(), dir)
					got, data := rowFrames(frames(rows, list[0], dir))
					if dir == "send" {
						log = sent(log, got)
					}
					n := len(log) - before[i][j]
					if n < 20 {
						t.Fatalf("%d frames in the log", n)
					}
					if !late && len(got) != len(log) {
						t.Errorf("%d frames, %d were logged", len(got), len(log))
					}
					if want := calledOctets[[]string{dir, reverse[dir]}[i]] * uint32(rounds); data != want {
						t.Errorf("%s: %d octets of DATA, want %d", dir, data, want)
					}
					wantTail(t, []string{"client ", "server "}[i]+dir, got, log, n)
				}
				for _, r := range rows {
					if r.Kind == "bind" && r.Conn == list[0] {
						local, remote := r.Local, r.Remote
						if p == server {
							local, remote = remote, local
						}
						if r.Address != "exact" || remote != "127.0.0.1:"+port || !strings.HasPrefix(local, "127.0.0.1:") {
							t.Errorf("bound to %s %s (%s), the server's port is %s", r.Local, r.Remote, r.Address, port)
						}
					}
				}
			}
			if !late {
				wantExact(t, rows)
				if n := wantCausality(t, rows); n != 1 {
					t.Errorf("%d connections with both ends", n)
				}
			}
		})
	}
}

// connsOf lists the connections of a process that have frames.
func connsOf(rows []row, pid int) []string {
	var out []string
	for _, conn := range conns(rows, "") {
		if f := frames(rows, conn, ""); f[0].PID == pid {
			out = append(out, conn)
		}
	}
	return out
}
