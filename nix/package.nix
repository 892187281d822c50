# Stele as a Nix package: `pkgs.callPackage ./nix/package.nix { }` from a checkout.
{ lib
, stdenv
, brotli
, bzip2
, curl
, gnutls
, jansson
, libmicrohttpd
, libseccomp
, libsodium
, lmdb
, lz4
, nettle
, nghttp2
, sqlite
, xz
, zlib
, zstd
}:

stdenv.mkDerivation {
  pname = "stele";
  version = "0.1.0";
  src = ./..;

  buildInputs = [
    brotli
    bzip2
    curl
    gnutls
    jansson
    libmicrohttpd
    libseccomp
    libsodium
    lmdb
    lz4
    nettle
    nghttp2
    sqlite
    xz
    zlib
    zstd
  ];

  makeFlags = [ "PREFIX=${placeholder "out"}" ];
  enableParallelBuilding = true;

  # `make check` wants a whole Debian: real Nix, nginx, strace. It is run where Stele is made.
  doCheck = false;

  meta = {
    description = "A transparency log for Nix build attestations, a witness, and a gate that takes nothing else";
    license = lib.licenses.isc;
    platforms = lib.platforms.linux;
    mainProgram = "stele";
  };
}
