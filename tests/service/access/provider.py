"""A small OpenID provider, a process of its own: authlib's authorization server behind Flask.

Run with a port and a JSON object of people, each with the fields of ``User``. Whoever the query's
``as`` names has signed in; ``id_token`` and ``is_forged`` make an attacker's tokens of theirs.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import OpenIDCode
from flask import Flask, Response, g, jsonify, request
from joserfc.jwk import KeySet, RSAKey

CLIENT_ID, CLIENT_SECRET = "penapisan", "secret of the client"

KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})


@dataclass
class User:
    sub: str
    claims: dict[str, Any]
    id_token: dict[str, Any] = field(default_factory=dict)
    is_forged: bool = False
    userinfo_sub: str | None = None


@dataclass
class Code(AuthorizationCodeMixin):
    code: str
    user: User
    redirect_uri: str
    scope: str
    nonce: str | None
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str | None:
        return self.nonce

    def get_auth_time(self) -> None:
        return None

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


class Client(ClientMixin):
    def get_client_id(self) -> str:
        return CLIENT_ID

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri.endswith("/v1/oidc/callback")

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == CLIENT_SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


CODES: dict[str, Code] = {}
TOKENS: dict[str, User] = {}


class Grant(AuthorizationCodeGrant):
    def save_authorization_code(self, code: str, asked: Any) -> None:
        data = asked.payload.data
        CODES[code] = Code(
            code,
            asked.user,
            asked.payload.redirect_uri,
            asked.payload.scope,
            data.get("nonce"),
            data["code_challenge"],
            data["code_challenge_method"],
        )

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        return CODES.get(code)

    def delete_authorization_code(self, authorization_code: Code) -> None:
        del CODES[authorization_code.code]

    def authenticate_user(self, authorization_code: Code) -> User:
        return authorization_code.user


class IdToken(OpenIDCode):
    def exists_nonce(self, nonce: str, request: Any) -> bool:
        return any(code.nonce == nonce for code in CODES.values())

    def get_client_algorithm(self, client: Client) -> str:
        return "RS256"

    def get_encode_header(self, client: Client) -> dict[str, str]:
        return {"alg": "RS256", "kid": "one"}

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        return {"iss": request.host_url.rstrip("/"), "aud": [CLIENT_ID]}

    def generate_user_info(self, user: User, scope: str) -> dict[str, Any]:
        g.user = user
        return {"sub": user.sub, **user.id_token}

    def resolve_client_private_key(self, client: Client) -> RSAKey:
        return OTHER_KEY if g.user.is_forged else KEY


def make_provider(users: dict[str, User]) -> Flask:
    app = Flask(__name__)

    def save_token(token: dict[str, Any], asked: Any) -> None:
        TOKENS[token["access_token"]] = asked.user

    server = AuthorizationServer(app, lambda client_id: Client(), save_token)
    server.register_grant(Grant, [IdToken(require_nonce=True), CodeChallenge(required=True)])

    @app.get("/.well-known/openid-configuration")
    def metadata() -> Response:
        issuer = request.host_url.rstrip("/")
        return jsonify(
            issuer=issuer,
            authorization_endpoint=f"{issuer}/authorize",
            token_endpoint=f"{issuer}/token",
            userinfo_endpoint=f"{issuer}/userinfo",
            jwks_uri=f"{issuer}/jwks",
            response_types_supported=["code"],
            subject_types_supported=["public"],
            id_token_signing_alg_values_supported=["RS256"],
            code_challenge_methods_supported=["S256"],
        )

    @app.get("/jwks")
    def jwks() -> Response:
        return jsonify(KeySet([KEY]).as_dict(private=False))

    @app.get("/authorize")
    def authorize() -> Response:
        user = users[request.args["as"]]
        grant = server.get_consent_grant(end_user=user)
        return server.create_authorization_response(grant_user=user, grant=grant)

    @app.post("/token")
    def token() -> Response:
        return server.create_token_response()

    @app.get("/userinfo")
    def userinfo() -> Response:
        user = TOKENS[request.headers["Authorization"].removeprefix("Bearer ")]
        return jsonify({**user.claims, "sub": user.userinfo_sub or user.sub})

    return app


def main() -> None:
    port, people = int(sys.argv[1]), json.loads(sys.argv[2])
    users = {sub: User(sub, **fields) for sub, fields in people.items()}
    make_provider(users).run("127.0.0.1", port)


if __name__ == "__main__":
    main()
