"""The shapes clients already speak: OpenAI moderation, Perspective, Open Inference Protocol.

Sources: OpenAI API reference, "Create moderation"; Perspective API reference,
"comments.analyze" (v1alpha1); Open Inference Protocol, "REST" (v2).
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from models.release import OUTPUTS
from screening.language import language_hint
from screening.policy import SCREENED, Policy, screened
from screening.taxonomy import LABEL_IDS, TERRORISM
from screening.types import Score
from service.errors import NotFound, Unprocessable
from service.scoring import service
from service.scoring.endpoints import RoomDep, Scoring
from service.scoring.schemas import MAX_POSTS
from service.scoring.storing import Scored

router = APIRouter(tags=["compatible"])

MODEL = "penapisan"
Text = Annotated[str, Field(min_length=1, max_length=1_000_000)]
CATEGORIES = (TERRORISM, *LABEL_IDS)


def label_score(score: Score, label: str) -> float:
    """Probability of a label or of the terrorism group."""
    return screened(score, label) if label in SCREENED else score.labels[label]


class TextPart(BaseModel):
    type: Literal["text"]
    text: Text


class ModerationRequest(BaseModel):
    """OpenAI's request; parts of one list are one input, as there."""

    input: (
        Text
        | Annotated[list[Text], Field(min_length=1, max_length=MAX_POSTS)]
        | Annotated[list[TextPart], Field(min_length=1, max_length=MAX_POSTS)]
    )
    model: str | None = None

    def texts(self) -> list[str]:
        if isinstance(self.input, str):
            return [self.input]
        parts = [part.text for part in self.input if isinstance(part, TextPart)]
        return ["\n".join(parts)] if parts else [str(text) for text in self.input]


class ModerationResult(BaseModel):
    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[Literal["text"]]]


class Moderation(BaseModel):
    id: str
    model: str
    results: list[ModerationResult]


@router.post("/v1/moderations", response_model=Moderation)
async def moderate(sent: ModerationRequest, who: Scoring, room: RoomDep) -> Any:
    """OpenAI's moderation shape. ``flagged`` means: reached review; a person decides."""
    policy = room.batcher.policy

    def answer(scored: list[Scored]) -> dict[str, Any]:
        return {
            "id": f"modr-{secrets.token_hex(12)}",
            "model": room.batcher.release,
            "results": [_moderation(item.score, policy) for item in scored],
        }

    posts = [(service.text_post(text), None) for text in sent.texts()]
    return (await service.submit(room, who, posts, answer))[0]


def _moderation(score: Score, policy: Policy) -> dict[str, Any]:
    scores = {label: label_score(score, label) for label in CATEGORIES}
    return {
        "flagged": policy.decide(score).band != "clear",
        # A label without a threshold of its own is called where it is likelier than not.
        "categories": {
            label: value >= (policy.thresholds[label].review if label in SCREENED else 0.5)
            for label, value in scores.items()
        },
        "category_scores": scores,
        "category_applied_input_types": {label: ["text"] for label in CATEGORIES},
    }


class Comment(BaseModel):
    text: Text
    type: Literal["PLAIN_TEXT", "HTML"] = "PLAIN_TEXT"


class Attribute(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    score_type: Literal["PROBABILITY"] = Field("PROBABILITY", alias="scoreType")
    score_threshold: float = Field(0.0, alias="scoreThreshold", ge=0, le=1, strict=True)


class AnalyzeRequest(BaseModel):
    """Perspective's request. Attributes are our labels in capitals, and ``TERRORISM``."""

    model_config = ConfigDict(populate_by_name=True)

    comment: Comment
    requested_attributes: dict[str, Attribute] = Field(
        alias="requestedAttributes",
        min_length=1,
        json_schema_extra={"propertyNames": {"enum": [label.upper() for label in CATEGORIES]}},
    )
    languages: list[str] = Field([], max_length=16)
    span_annotations: StrictBool = Field(False, alias="spanAnnotations")
    do_not_store: StrictBool = Field(False, alias="doNotStore")
    client_token: str | None = Field(None, alias="clientToken", max_length=1024)
    session_id: str | None = Field(None, alias="sessionId", max_length=1024)


class Value(BaseModel):
    value: float
    type: Literal["PROBABILITY"] = "PROBABILITY"


class SpanScore(BaseModel):
    begin: int
    end: int
    score: Value


class AttributeScore(BaseModel):
    summaryScore: Value  # noqa: N815  Perspective's name
    spanScores: list[SpanScore]  # noqa: N815  Perspective's name


class Analysis(BaseModel):
    attributeScores: dict[str, AttributeScore]  # noqa: N815  Perspective's name
    languages: list[str]
    clientToken: str | None = None  # noqa: N815  Perspective's name


@router.post(
    "/v1alpha1/comments:analyze", response_model=Analysis, response_model_exclude_none=True
)
async def analyze(sent: AnalyzeRequest, who: Scoring, room: RoomDep) -> Any:
    """Perspective's shape. A span says where; its score is the whole text's."""
    known = {label.upper(): label for label in CATEGORIES}
    for name in sent.requested_attributes:
        if name not in known:
            raise Unprocessable(
                f"attribute '{name[:64]}' is unknown; known are {', '.join(known)}",
                pointer="/requestedAttributes",
            )

    def answer(scored: list[Scored]) -> dict[str, Any]:
        score = scored[0].score
        values = {name: label_score(score, known[name]) for name in sent.requested_attributes}
        hint = language_hint(sent.comment.text)
        return {
            "attributeScores": {
                name: {
                    "summaryScore": {"value": value},
                    "spanScores": [
                        {"begin": span.begin, "end": span.end, "score": {"value": value}}
                        for span in (score.spans if sent.span_annotations else ())
                        if span.label == known[name]
                    ],
                }
                for name, value in values.items()
                if value >= sent.requested_attributes[name].score_threshold
            },
            "languages": sent.languages or ([hint] if hint else []),
            "clientToken": sent.client_token,
        }

    posts = [(service.text_post(sent.comment.text), None)]
    return (await service.submit(room, who, posts, answer, is_kept=not sent.do_not_store))[0]


class ServerMetadata(BaseModel):
    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class InputTensor(BaseModel):
    name: Literal["text"]
    shape: Annotated[list[int], Field(min_length=1, max_length=2)]
    datatype: Literal["BYTES"]
    data: Annotated[list[Text], Field(min_length=1, max_length=MAX_POSTS)]


class InferRequest(BaseModel):
    id: str | None = Field(None, max_length=256)
    parameters: dict[str, Any] | None = None
    inputs: Annotated[list[InputTensor], Field(min_length=1, max_length=1)]
    outputs: list[Any] | None = None


class OutputTensor(BaseModel):
    name: str
    shape: list[int]
    datatype: Literal["FP32"]
    data: list[float]


class InferAnswer(BaseModel):
    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


Name = Annotated[str, Path(max_length=128)]


@router.get("/v2", response_model=ServerMetadata)
def server_metadata() -> Any:
    return {"name": MODEL, "version": "2", "extensions": []}


@router.get("/v2/health/live", response_class=Response)
def server_live() -> Response:
    return Response()


@router.get("/v2/health/ready", response_class=Response)
def server_ready(room: RoomDep) -> Response:
    room.database.ping()
    return Response()


@router.get("/v2/models/{name}", response_model=ModelMetadata)
def model_metadata(name: Name, room: RoomDep) -> Any:
    """The one model; its version is the release."""
    return model_version_metadata(name, room.batcher.release, room)


@router.get("/v2/models/{name}/versions/{version}", response_model=ModelMetadata)
def model_version_metadata(name: Name, version: Name, room: RoomDep) -> Any:
    """The same for a version, of which there is one."""
    _check_model(room, name, version)
    return {
        "name": MODEL,
        "versions": [room.batcher.release],
        "platform": "onnx",
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, len(OUTPUTS)]}],
    }


@router.get("/v2/models/{name}/ready", response_class=Response)
def model_ready(name: Name, room: RoomDep) -> Response:
    return model_version_ready(name, room.batcher.release, room)


@router.get("/v2/models/{name}/versions/{version}/ready", response_class=Response)
def model_version_ready(name: Name, version: Name, room: RoomDep) -> Response:
    _check_model(room, name, version)
    return Response()


@router.post(
    "/v2/models/{name}/infer", response_model=InferAnswer, response_model_exclude_none=True
)
async def infer(name: Name, sent: InferRequest, who: Scoring, room: RoomDep) -> Any:
    """Texts as BYTES to probabilities as FP32 of shape (n_texts, n_outputs), row by row."""
    return await infer_version(name, room.batcher.release, sent, who, room)


@router.post(
    "/v2/models/{name}/versions/{version}/infer",
    response_model=InferAnswer,
    response_model_exclude_none=True,
)
async def infer_version(
    name: Name, version: Name, sent: InferRequest, who: Scoring, room: RoomDep
) -> Any:
    """The same of a version, of which there is one."""
    _check_model(room, name, version)
    texts = sent.inputs[0].data

    def answer(scored: list[Scored]) -> dict[str, Any]:
        rows = [_outputs(item.score) for item in scored]
        return {
            "model_name": MODEL,
            "model_version": room.batcher.release,
            "id": sent.id,
            "outputs": [
                {
                    "name": "probabilities",
                    "shape": [len(rows), len(OUTPUTS)],
                    "datatype": "FP32",
                    "data": [value for row in rows for value in row],
                }
            ],
        }

    posts = [(service.text_post(text), None) for text in texts]
    return (await service.submit(room, who, posts, answer))[0]


def _outputs(score: Score) -> list[float]:
    """In the order of the release's outputs."""
    values = {**score.labels, TERRORISM: score.terrorism, **score.contexts}
    return [values[output] for output in OUTPUTS]


def _check_model(room: service.Room, name: str, version: str) -> None:
    if (name, version) != (MODEL, room.batcher.release):
        raise NotFound(f"there is one model, '{MODEL}', in version '{room.batcher.release}'")
