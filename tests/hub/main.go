// Hub serves the modules and images that builds in containers fetch: a module proxy, and a registry of images for
// `docker push` and `docker pull`.
//
//	hub -write DIR        writes a module proxy with a single module, example.com/dep
//	hub -serve DIR ADDR   serves this proxy and an empty registry; prints "ready" when it listens
package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

const (
	module  = "example.com/dep"
	version = "v1.0.0"
	gomod   = "module example.com/dep\n\ngo 1.21\n"
	source  = "package dep\n\n// Answer is the answer.\nfunc Answer() int { return 42 }\n"
)

func main() {
	log.SetFlags(0)
	switch {
	case len(os.Args) == 3 && os.Args[1] == "-write":
		if err := write(filepath.Join(os.Args[2], module, "@v")); err != nil {
			log.Fatal(err)
		}
	case len(os.Args) == 4 && os.Args[1] == "-serve":
		listener, err := net.Listen("tcp", os.Args[3])
		if err != nil {
			log.Fatal(err)
		}
		http.Handle("/", http.FileServer(http.Dir(os.Args[2])))
		http.Handle("/v2/", &registry{blobs: map[string][]byte{}, manifests: map[string]manifest{}})
		fmt.Println("ready")
		log.Fatal(http.Serve(listener, nil))
	default:
		log.Fatal("usage: hub -write DIR | -serve DIR ADDR")
	}
}

// write creates the files of a module proxy (go.dev/ref/mod#goproxy-protocol).
func write(dir string) error {
	var archive bytes.Buffer
	files := zip.NewWriter(&archive)
	for name, text := range map[string]string{"go.mod": gomod, "dep.go": source} {
		file, err := files.Create(module + "@" + version + "/" + name)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(file, text); err != nil {
			return err
		}
	}
	if err := files.Close(); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, content := range map[string]string{
		"list":            version + "\n",
		version + ".info": `{"Version":"` + version + `","Time":"2026-01-01T00:00:00Z"}`,
		version + ".mod":  gomod,
		version + ".zip":  archive.String(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

type manifest struct {
	kind string
	body []byte
}

// registry implements the part of the distribution API that an engine uses to push and pull.
type registry struct {
	mutex     sync.Mutex
	blobs     map[string][]byte
	manifests map[string]manifest
}

func (r *registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	path := strings.TrimPrefix(req.URL.Path, "/v2/")
	if path == "" {
		return
	}
	if name, reference, ok := strings.Cut(path, "/manifests/"); ok {
		r.manifest(w, req, name, reference)
	} else if name, digest, ok := strings.Cut(path, "/blobs/"); ok {
		r.blob(w, req, name, digest)
	} else {
		http.NotFound(w, req)
	}
}

func (r *registry) manifest(w http.ResponseWriter, req *http.Request, name, reference string) {
	if req.Method == http.MethodPut {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		pushed := manifest{req.Header.Get("Content-Type"), body}
		digest := digestOf(body)
		r.manifests[name+":"+reference] = pushed
		r.manifests[name+":"+digest] = pushed
		w.Header().Set("Docker-Content-Digest", digest)
		w.WriteHeader(http.StatusCreated)
		return
	}
	found, ok := r.manifests[name+":"+reference]
	if !ok {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintln(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`)
		return
	}
	w.Header().Set("Content-Type", found.kind)
	w.Header().Set("Docker-Content-Digest", digestOf(found.body))
	send(w, req, found.body)
}

func (r *registry) blob(w http.ResponseWriter, req *http.Request, name, digest string) {
	switch req.Method {
	case http.MethodPost:
		w.Header().Set("Location", fmt.Sprintf("/v2/%s/blobs/uploads/%d", name, len(r.blobs)))
		w.WriteHeader(http.StatusAccepted)
	case http.MethodPatch, http.MethodPut:
		body, err := io.ReadAll(req.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		// Chunks of a blob are stored under the path of the upload until its digest is known.
		whole := append(r.blobs[req.URL.Path], body...)
		delete(r.blobs, req.URL.Path)
		if req.Method == http.MethodPatch {
			r.blobs[req.URL.Path] = whole
			w.Header().Set("Location", req.URL.Path)
			w.Header().Set("Range", fmt.Sprintf("0-%d", len(whole)-1))
			w.WriteHeader(http.StatusAccepted)
			return
		}
		digest := req.URL.Query().Get("digest")
		if digest != digestOf(whole) {
			http.Error(w, "digest does not match", http.StatusBadRequest)
			return
		}
		r.blobs[digest] = whole
		w.Header().Set("Docker-Content-Digest", digest)
		w.WriteHeader(http.StatusCreated)
	default:
		found, ok := r.blobs[digest]
		if !ok {
			http.NotFound(w, req)
			return
		}
		w.Header().Set("Docker-Content-Digest", digest)
		send(w, req, found)
	}
}

func send(w http.ResponseWriter, req *http.Request, body []byte) {
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	if req.Method != http.MethodHead {
		w.Write(body)
	}
}

func digestOf(body []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(body)) }
